#pragma once
// Connects the shards' questions about people (server/core/access.hpp) with auth/: the chain of
// authenticators and the ACL. Owned by the Server, asked by every shard's thread; replace() is the
// main thread's.

#include "auth/acl.hpp"
#include "auth/authenticator.hpp"
#include "auth/ban_list.hpp"
#include "auth/throttle.hpp"
#include "server/admin/http_access.hpp"
#include "server/core/access.hpp"
#include "server/metrics/histogram.hpp"
#include "server/shard/mailbox.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace stentor::app {

class Gate final : public server::AccessControl,
                   public admin::HttpAccess,
                   private auth::DecisionSink {
  public:
    Gate(std::shared_ptr<const auth::Chain> chain,
         std::shared_ptr<const auth::Acl> acl,
         const auth::ThrottleOptions& throttle);
    ~Gate() override;  // every request has been answered

    /// Where late answers go; before the first admit().
    void set_mailboxes(std::span<server::Mailbox* const> mailboxes) { mailboxes_ = mailboxes; }
    /// URLs by their index in the configuration; before the first admit().
    void set_listeners(std::span<const std::string> urls) { listeners_ = urls; }

    /// For clients and messages from now on; decisions under way finish with what they began with.
    void replace(std::shared_ptr<const auth::Chain> chain, std::shared_ptr<const auth::Acl> acl);

    void set_throttle(const auth::ThrottleOptions& options) { throttle_.set_options(options); }
    /// Who is connected and banned is sent away as soon as the shards look at the new edition.
    void set_bans(std::shared_ptr<const auth::BanList> bans);
    [[nodiscard]] bool bans_address(std::string_view address) const;

    /// From credentials to decisions, in microseconds.
    [[nodiscard]] metrics::Histogram decision_times() const noexcept {
        return decision_times_.copy();
    }

    /// How many there were, by auth::Outcome; those of whom the throttle refused among them.
    [[nodiscard]] std::array<std::uint64_t, auth::kOutcomes> decisions() const noexcept;

    /// While closed, every client is told that the server is not available (0x88).
    enum class Door : std::uint8_t { open, closed };
    void set_door(Door door) noexcept { door_.store(door); }
    /// The shards' connections that wait for an answer have gone: nobody is told.
    void forget_askers();

    [[nodiscard]] std::optional<server::Admission> admit(const mqtt::ConnectRequest& request,
                                                         const server::PeerInfo& peer,
                                                         ShardId shard,
                                                         ConnectionId connection) override;
    void abandon(ShardId shard, ConnectionId connection) noexcept override;
    /// Of those who come by HTTP; also while closed: operators want to look then.
    void admit_visitor(admin::HttpCredentials credentials,
                       const server::PeerInfo& peer,
                       std::function<void(server::Admission)> answer) override;
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
        ShardId shard = {};
        ConnectionId connection = {};
        std::uint32_t edition = 0;  // when it asked
        auth::Throttle::Attempt attempt = {};
        std::string client_id = {};  // empty while nobody is banned
        bool has_begun = false;      // the throttle waits for its end()
        bool has_gone = false;
        std::function<void(server::Admission)> visitor = {};  // not a shard's connection then
        Instant asked_at = {};

        [[nodiscard]] std::pair<std::uint32_t, std::uint64_t> key() const noexcept {
            return {shard.value(), connection.packed()};
        }
    };
    [[nodiscard]] std::shared_ptr<const auth::BanList> current_bans() const;
    using Askers = std::unordered_map<auth::Ticket, Asker>;
    [[nodiscard]] std::string banned_client(const mqtt::ConnectRequest& request) const;
    [[nodiscard]] server::Admission conclude(const Asker& asker, auth::Decision decision);
    void count_decision(auth::Outcome outcome) noexcept;
    [[nodiscard]] server::Admission shown_out() noexcept;
    void count(const Asker& asker, auth::Outcome outcome);
    [[nodiscard]] const auth::Acl& current_acl() const;
    [[nodiscard]] bool is_admin_now(const server::Identity& identity) const;
    [[nodiscard]] std::shared_ptr<const auth::Chain> current_chain() const;
    /// `call(ticket)` asks; its answer if that comes at once.
    template <class Call>
    [[nodiscard]] std::optional<server::Admission> ask(Asker asker, Call&& call);
    void forget(Askers::iterator asker) noexcept;
    void decided(auth::Ticket ticket, auth::Decision decision) noexcept override;
    [[nodiscard]] std::optional<auth::Decision> begins(auth::Ticket ticket) noexcept override;

    std::span<server::Mailbox* const> mailboxes_;
    std::span<const std::string> listeners_;
    std::atomic<Door> door_{Door::open};
    std::atomic<std::uint64_t> acl_version_;  // never that of another Acl, nor of another Gate's
    std::atomic<std::uint32_t> edition_{1};
    std::atomic<bool> has_bans_{false};
    auth::Throttle throttle_;
    metrics::SharedHistogram decision_times_;
    std::array<std::atomic<std::uint64_t>, auth::kOutcomes> decisions_{};  // by Outcome
    mutable std::mutex mutex_;                                             // guards what follows
    std::shared_ptr<const auth::Chain> chain_;
    std::shared_ptr<const auth::BanList> bans_;
    std::shared_ptr<const auth::Acl> acl_;
    Askers askers_;
    std::map<std::pair<std::uint32_t, std::uint64_t>, auth::Ticket> asking_;  // by Asker::key()
    auth::Ticket next_ticket_ = 1;
};

}  // namespace stentor::app
