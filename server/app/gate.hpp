#pragma once
// Connects the shards' questions about people (server/core/access.hpp) with auth/: the chain of
// authenticators and the ACL. Owned by the Server, asked by every shard's thread; replace() is the
// main thread's.

#include "auth/acl.hpp"
#include "auth/authenticator.hpp"
#include "auth/ban_list.hpp"
#include "auth/throttle.hpp"
#include "server/core/access.hpp"
#include "server/shard/mailbox.hpp"
#include "server/transport/network_list.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::app {

class Gate final : public server::AccessControl, private auth::DecisionSink {
  public:
    /// `proxies` are trusted: an address among them stands for many, and is not throttled.
    Gate(std::shared_ptr<const auth::Chain> chain,
         std::shared_ptr<const auth::Acl> acl,
         const auth::ThrottleOptions& throttle,
         server::NetworkList proxies);
    ~Gate() override;  // every request has been answered

    /// Where late answers go; before the first admit().
    void set_mailboxes(std::span<server::Mailbox* const> mailboxes) { mailboxes_ = mailboxes; }

    /// For clients and messages from now on; decisions under way finish with what they began with.
    void replace(std::shared_ptr<const auth::Chain> chain, std::shared_ptr<const auth::Acl> acl);

    void set_throttle(const auth::ThrottleOptions& options) { throttle_.set_options(options); }
    /// Who is connected and banned is sent away as soon as the shards look at the new edition.
    void set_bans(std::shared_ptr<const auth::BanList> bans);
    [[nodiscard]] bool bans_address(std::string_view address) const;

    /// While closed, every client is told that the server is not available (0x88).
    enum class Door : std::uint8_t { open, closed };
    void set_door(Door door) noexcept { door_.store(door); }
    /// The connections that wait for an answer have gone: nobody is told.
    void forget_askers();

    [[nodiscard]] std::optional<server::Admission> admit(const mqtt::ConnectRequest& request,
                                                         const server::PeerInfo& peer,
                                                         ShardId shard,
                                                         ConnectionId connection) override;
    [[nodiscard]] std::unique_ptr<server::AuthExchange> begin_exchange(
        const mqtt::ConnectRequest& request, const server::PeerInfo& peer) override;
    [[nodiscard]] bool allows(server::TopicAction action,
                              const server::Identity& identity,
                              std::string_view client_id,
                              std::string_view topic) const override;
    [[nodiscard]] bool checks_deliveries(const server::Identity& identity) const noexcept override;
    [[nodiscard]] std::uint32_t edition() const noexcept override { return edition_.load(); }
    [[nodiscard]] mqtt::ReasonCode review(server::Identity& identity,
                                          std::string_view client_id,
                                          const server::PeerInfo& peer) const override;

  private:
    class Talk;
    struct InlineAnswer;
    struct Asker {
        ShardId shard;
        ConnectionId connection;
        std::uint32_t edition = 0;  // when it asked
        auth::Throttle::Attempt attempt = {};
        bool has_gone = false;
    };
    [[nodiscard]] std::shared_ptr<const auth::BanList> current_bans() const;
    [[nodiscard]] auth::Throttle::Attempt attempt_of(const server::PeerInfo& peer,
                                                     std::string_view user) const;
    [[nodiscard]] server::Admission conclude(const Asker& asker, auth::Decision decision);
    [[nodiscard]] std::shared_ptr<const auth::Chain> current_chain() const;
    /// `call(ticket)` asks; its answer if that comes at once.
    template <class Call>
    [[nodiscard]] std::optional<server::Admission> ask(Asker asker, Call&& call);
    void decided(auth::Ticket ticket, auth::Decision decision) noexcept override;

    std::span<server::Mailbox* const> mailboxes_;
    std::atomic<Door> door_{Door::open};
    // Read on every PUBLISH: one load. Earlier ones are kept: a shard may be reading them, and
    // reloads are few.
    std::atomic<const auth::Acl*> acl_;
    std::atomic<std::uint32_t> edition_{1};
    std::atomic<bool> has_bans_{false};
    auth::Throttle throttle_;
    const server::NetworkList proxies_;
    mutable std::mutex mutex_;  // guards what follows
    std::shared_ptr<const auth::Chain> chain_;
    std::shared_ptr<const auth::BanList> bans_;
    std::vector<std::shared_ptr<const auth::Acl>> acls_;
    std::unordered_map<auth::Ticket, Asker> askers_;
    auth::Ticket next_ticket_ = 1;
};

}  // namespace stentor::app
