#pragma once
// The judge of a simulation: a ledger of what every client asked for and was told, and a naive idea
// of MQTT that says which deliveries follow from it. Knows nothing of shards, logs or commits.
// One thread. The first complaint is kept; the rest of a run may follow from it.

#include "base/clock.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/types.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/trace.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace stentor::sim {

struct OracleRules {
    /// Mailboxes are full at times: what has been acknowledged may still be on its way to a shard.
    bool late_messages = false;
    Duration clock_slack{};  // how far the broker's clock and ours may be apart
};

class Oracle {
  public:
    Oracle(Trace& trace, OracleRules rules) : trace_{&trace}, rules_{rules} {}

    void set_now(Instant now) noexcept { now_ = now; }
    [[nodiscard]] const std::optional<std::string>& complaint() const noexcept {
        return complaint_;
    }
    void complain(std::string what);

    // --- publishers
    struct Publishing {
        std::string publisher;
        std::string topic;
        mqtt::QoS qos = mqtt::QoS::at_most_once;
        bool retain = false;
        bool empty = false;
        bool is_will = false;
        std::size_t padding = 0;
        std::optional<std::uint32_t> expiry_seconds = {};
        bool ordered = true;
    };
    /// The ledger's entry; its payload is what must be sent.
    const Published& publishing(const Publishing& what);
    void withdrawn(MessageId id);  // it was not sent after all
    void sent_again(MessageId id);
    void taken(MessageId id);
    void refused(MessageId id);
    void will_ended(MessageId id, WillFate fate);

    // --- sessions
    void connecting(const std::string& client);
    void connected(const std::string& client, bool session_present);
    /// The client's end of a connection is over; a transient session is over with it.
    void disconnected(const std::string& client, bool session_ends);

    // --- subscriptions
    // Requests return their moment, which comes back with the answer.
    [[nodiscard]] Tick subscribing(const std::string& client,
                                   const std::string& text,
                                   mqtt::SubscriptionOptions options,
                                   std::uint32_t identifier);
    void subscribed(const std::string& client,
                    const std::string& text,
                    Tick requested,
                    bool success);
    [[nodiscard]] Tick unsubscribing(const std::string& client, const std::string& text);
    void unsubscribed(const std::string& client,
                      const std::string& text,
                      Tick requested,
                      bool success);

    // --- deliveries
    void received(const std::string& client, const mqtt::PublishView& packet);

    /// The broker counts this many deliveries of durable sessions as lost to a bound, since it was
    /// made: so many may be missing, no more.
    void counted_lost(std::uint64_t deliveries) noexcept { counted_lost_ = deliveries; }
    /// CONNACK said that so many were lost.
    void told_lost(std::uint64_t deliveries) noexcept { told_lost_ += deliveries; }
    [[nodiscard]] std::uint64_t told_lost() const noexcept { return told_lost_; }

    /// The broker died. `lossy`: it may have lost commits; nothing before is owed any more.
    void crashed(bool lossy);

    /// All clients are connected, have answered everything, and nothing moves any more.
    void judge_end();
    /// The same, as a question: what is missing yet.
    [[nodiscard]] std::optional<std::string> unmet() const;
    /// What `seen` lacks or has too much, the values that a new subscriber of # got.
    [[nodiscard]] std::optional<std::string> unmet_retained(
        const std::map<std::string, std::string>& seen) const;
    /// After judge_end(): what has been judged is not judged again, except for coming twice.
    void settle();
    [[nodiscard]] std::size_t deliveries() const noexcept { return deliveries_; }
    [[nodiscard]] std::size_t taken_messages() const noexcept { return taken_; }
    [[nodiscard]] std::size_t obligations() const noexcept { return obligations_; }

  private:
    struct Copies {
        unsigned all = 0;
        unsigned live_twice = 0;  // QoS 2, RETAIN 0
        unsigned any_twice = 0;   // QoS 2
        Tick last = 0;
        Tick connection = 0;       // of the last live one with QoS 1 or 2
        Tick connection_qos0 = 0;  // ... with QoS 0
    };
    using OrderKey = std::tuple<std::string, Tick, std::string, mqtt::QoS, mqtt::QoS>;
    struct Client {
        std::vector<Subscription> subscriptions;
        Tick connecting = 0;  // of the connection in use
        Instant connecting_at;
        std::map<MessageId, Copies> copies;  // of this session
        std::map<OrderKey, MessageId> newest;
        std::map<std::string, std::vector<std::pair<MessageId, mqtt::QoS>>, std::less<>>
            seen;  // on this connection
    };
    /// A version of a subscription that may be the reason of a delivery.
    struct Candidate {
        const Subscription* subscription;
        const Version* version;
    };

    [[nodiscard]] Tick tick() noexcept { return ++tick_; }
    [[nodiscard]] Subscription* current(Client& client, const std::string& text);
    void end_session(Client& client);
    [[nodiscard]] std::vector<Candidate> live_candidates(const Client& client,
                                                         const Published& message) const;
    [[nodiscard]] std::vector<Candidate> replay_candidates(const Client& client,
                                                           const Published& message) const;
    void judge(const std::string& name,
               Client& client,
               const Published& message,
               const mqtt::PublishView& packet);
    void judge_copies(const std::string& name,
                      Client& client,
                      const Published& message,
                      const mqtt::PublishView& packet,
                      bool is_live);
    void judge_order(const std::string& name,
                     Client& client,
                     const Published& message,
                     const mqtt::PublishView& packet);
    void judge_retained(const std::string& name,
                        Client& client,
                        const Published& message,
                        const mqtt::PublishView& packet,
                        const std::vector<Candidate>& replays);
    void judge_expiry(const std::string& name,
                      const Client& client,
                      const Published& message,
                      const mqtt::PublishView& packet);
    void judge_identifiers(const std::string& name,
                           const Published& message,
                           const mqtt::PublishView& packet,
                           const std::vector<Candidate>& candidates);
    /// Whether `client` must have received it by now.
    [[nodiscard]] bool is_owed(const std::string& name,
                               const Client& client,
                               const Published& message) const;
    [[nodiscard]] bool owed_by(const Subscription& subscription,
                               const std::string& client,
                               const Published& message) const;
    void judge_shared_end();
    /// The value that a topic certainly has, if it must have reached everybody who asked for it;
    /// otherwise null.
    [[nodiscard]] const Published* certain_value(const std::vector<MessageId>& ids) const;
    [[nodiscard]] std::optional<std::string> unmet_replay(const std::string& name,
                                                          const Client& client) const;
    [[nodiscard]] bool is_replaced(MessageId id, const std::vector<MessageId>& all) const;

    Trace* trace_;
    OracleRules rules_;
    Instant now_;
    Tick tick_ = 0;
    Tick crashed_ = 0;
    Tick worker_ended_ = 0;  // the last end of a session with shared subscriptions
    std::optional<std::string> complaint_;
    std::map<MessageId, Published> messages_;
    std::map<std::string, std::vector<MessageId>, std::less<>> retained_by_topic_;
    std::set<MessageId> disordered_;
    std::map<MessageId, WillFate> wills_;
    std::map<MessageId, unsigned> worker_copies_;  // by members of shared subscriptions
    std::set<MessageId> seen_;                     // by anybody
    std::map<std::string, Client> clients_;
    MessageId next_id_ = 1;
    std::size_t taken_ = 0;
    std::size_t deliveries_ = 0;
    std::size_t obligations_ = 0;
    std::uint64_t counted_lost_ = 0;
    std::uint64_t told_lost_ = 0;
};

}  // namespace stentor::sim
