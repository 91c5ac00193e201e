#pragma once
// What the shards ask about people: may this client come in, may it publish or read there.
// The app wires it to auth/ (authenticator chain, ACL snapshot). Any shard's thread may call.

#include "base/ids.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/session/session_types.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::server {

struct PeerInfo;

/// Who a connection is, once admitted.
struct Identity {
    std::string user;  // empty: anonymous
    bool admin = false;
};

struct Admission {
    bool accepted = false;
    mqtt::ReasonCode reason = mqtt::ReasonCode::not_authorized;  // when refused
    Identity identity;
};

enum class TopicAction : std::uint8_t { publish, subscribe, deliver };

class AccessControl {
  public:
    virtual ~AccessControl() = default;

    /// Answers at once, or returns nothing and sends Admitted{connection} to `shard`'s mailbox
    /// later, exactly once. The password in `request` may be read only during the call.
    [[nodiscard]] virtual std::optional<Admission> admit(const mqtt::ConnectRequest& request,
                                                         const PeerInfo& peer,
                                                         ShardId shard,
                                                         ConnectionId connection) = 0;

    /// `topic` is a topic name (publish, deliver) or a filter (subscribe). Cheap.
    [[nodiscard]] virtual bool allows(TopicAction action,
                                      const Identity& identity,
                                      std::string_view client_id,
                                      std::string_view topic) const = 0;

    /// Whether deliveries have to be checked one by one (acl_subscribe = "filter").
    [[nodiscard]] virtual bool checks_deliveries() const noexcept = 0;
};

}  // namespace stentor::server
