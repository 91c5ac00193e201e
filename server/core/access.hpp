#pragma once
// What the shards ask about people: may this client come in, may it publish or read there.
// An interface and its values: no I/O, no hashing, no lock held across a call into a shard. The app
// wires it to auth/ (server/app/gate.hpp: authenticator chain, ACL snapshot). Any shard's thread
// may call, several at once; an AuthExchange belongs to the shard of its connection. Bounds are the
// implementation's: how many questions wait for an answer (then the answer is a refusal at once),
// and how long one exchange is (docs/limits.md).

#include "auth/grants.hpp"
#include "auth/role_names.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
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
    auth::GrantsPtr grants = {};    // of its credentials; null: the rules alone decide
    auth::RoleNamesPtr roles = {};  // of its credentials; null: none
    std::uint32_t edition = 0;      // AccessControl::edition() when the question was asked
    std::uint64_t voucher = 0;      // AccessControl's own: what it was admitted for

    /// Known of the connection only: the log does not keep it with the session.
    [[nodiscard]] bool has_terms() const noexcept { return grants != nullptr || roles != nullptr; }
};

struct Admission {
    bool accepted = false;
    bool goes_on = false;  // of an AuthExchange: the client has to answer first
    mqtt::ReasonCode reason = mqtt::ReasonCode::not_authorized;  // when refused
    Identity identity;
    std::optional<Duration> valid_for = {};  // then the connection is closed; nothing: never
    std::string data = {};  // of an AuthExchange: challenge or last word, for the client
    std::string why = {};   // when refused: for the log, not for the client
    bool silent = false;    // when refused: by closing only, so that the client comes again
};

/// Enhanced authentication (MQTT 5.0 section 4.12) of one connection, under way. Destroying it
/// abandons it; an answer that still comes then finds its connection gone, or nobody waiting.
class AuthExchange {
  public:
    virtual ~AuthExchange() = default;
    AuthExchange() = default;
    AuthExchange(const AuthExchange&) = delete;
    AuthExchange& operator=(const AuthExchange&) = delete;

    /// What the client says; answered as AccessControl::admit() is. Not again before the answer.
    [[nodiscard]] virtual std::optional<Admission> next(ByteView data,
                                                        ShardId shard,
                                                        ConnectionId connection) = 0;
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

    /// The connection has gone: an answer that is still to come is not wanted any more.
    virtual void abandon(ShardId shard, ConnectionId connection) noexcept {
        (void)shard;
        (void)connection;
    }

    /// By the method that CONNECT names. Null: there is no such Authentication Method.
    [[nodiscard]] virtual std::unique_ptr<AuthExchange> begin_exchange(
        const mqtt::ConnectRequest& request, const PeerInfo& peer) = 0;

    /// `topic` is a topic name (publish, deliver) or a filter (subscribe). Cheap.
    [[nodiscard]] virtual bool allows(TopicAction action,
                                      const Identity& identity,
                                      std::string_view client_id,
                                      std::string_view topic) const = 0;

    /// Another number as soon as rules or users have changed: what was granted before is to be
    /// looked at again. Cheap.
    [[nodiscard]] virtual std::uint32_t edition() const noexcept { return 0; }

    /// Whether a client that was admitted earlier may stay as things are now: success, or why not.
    /// Brings `identity` up to date.
    [[nodiscard]] virtual mqtt::ReasonCode review(Identity& identity,
                                                  std::string_view client_id,
                                                  const PeerInfo& peer) const {
        (void)client_id;
        (void)peer;
        identity.edition = edition();
        return mqtt::ReasonCode::success;
    }

    /// Whether deliveries to this client have to be checked one by one (acl_subscribe = "filter").
    [[nodiscard]] virtual bool checks_deliveries(const Identity& identity) const noexcept = 0;
};

}  // namespace stentor::server
