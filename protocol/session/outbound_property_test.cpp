// Deliveries to one durable session under random timing: acknowledgements, commits, lost
// connections and crashes, from a seed. A store that applies the changes naively, and a client that
// follows figure 4.3, say what must hold: QoS 2 exactly once, QoS 1 at least once, in order, within
// the window, nothing visible before its commit, no identifier twice in use.

#include "base/random.hpp"
#include "protocol/session/session_script.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace stentor::mqtt {
namespace {

constexpr Instant kNow{std::chrono::hours{1}};
using Item = DeliveryChange::Item;

/// What is committed; applies changes as their description says and checks that they are exact.
struct Store {
    Seq sent_through;
    std::vector<Item> unfinished;

    auto find(PacketId id) {
        return std::find_if(unfinished.begin(), unfinished.end(), [id](const Item& item) {
            return item.packet_id == id;
        });
    }

    void apply(const DeliveryChange& change) {
        ASSERT_GE(change.sent_through, sent_through);
        sent_through = change.sent_through;
        for (const PacketId id : change.done) {
            ASSERT_NE(find(id), unfinished.end()) << "frees what was never listed";
            unfinished.erase(find(id));
        }
        for (const Item& item : change.changed) {
            const auto known = find(item.packet_id);
            if (known == unfinished.end()) {
                ASSERT_EQ(item.phase, DeliveryPhase::sent);
                unfinished.push_back(item);
                continue;
            }
            ASSERT_EQ(known->seq, item.seq);
            ASSERT_EQ(known->phase, DeliveryPhase::sent);
            ASSERT_EQ(item.phase, DeliveryPhase::received);
            *known = item;
        }
    }
};

struct Config {
    ProtocolVersion version = ProtocolVersion::v5;
    std::uint64_t seed = 0;
    int steps = 400;
    int crash_at_commit = 0;  // 0: only by chance
    bool told = false;        // the crash comes after that commit instead of before it
};

class World {
  public:
    explicit World(const Config& config) : config_{config}, random_{config.seed} {
        limits_.inflight_maximum = static_cast<std::uint16_t>(random_.between(1, 6));
        fx_.out = &wire_;
        attach({});
    }

    void run() {
        for (int step = 0; step < config_.steps && !::testing::Test::HasFatalFailure(); ++step) {
            act();
        }
        for (int step = 0; step < 5000 && !settled(); ++step) {
            if (::testing::Test::HasFatalFailure()) return;
            calm_ = true;
            act();
        }
        check_the_end();
    }

    [[nodiscard]] bool crashed_as_told() const { return crashed_as_told_; }

  private:
    struct Logged {
        QoS qos = QoS::at_least_once;
        int received = 0;
        bool refused = false;
    };
    /// A packet on its way, in a word: type, identifier, failure.
    struct Answer {
        PacketType type;
        PacketId id;
        bool failure;
    };

    void act() {
        switch (random_.below(calm_ ? 16 : 20)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return feed();
            case 4:
            case 5:
            case 6:
                return client_reads();
            case 7:
            case 8:
            case 9:
                return server_reads();
            case 10:
            case 11:
                return take();
            case 12:
            case 13:
            case 14:
            case 15:
                return commit();
            case 16:
            case 17:
            case 18:
                return publish();
            default:
                if (random_.chance(1, 3)) return crash();
                if (random_.chance(1, 2)) return lose_connection();
                return publish();
        }
    }

    void publish() {
        log_.push_back({.qos = random_.chance(1, 2) ? QoS::at_least_once : QoS::exactly_once});
    }

    [[nodiscard]] MessagePtr stored(Seq seq) const {
        return test::message({.payload = std::to_string(seq.value())}, kNow);
    }

    /// Hands the next logged message over, as live groups or pages would.
    void feed() {
        if (blocked_ || session_->sent_through().value() >= log_.size()) return;
        const Seq seq = next(session_->sent_through());
        const Grant grant{.qos = log_[seq.value() - 1].qos};
        const auto result = session_->deliver_logged(seq, stored(seq), grant, kNow, fx_);
        blocked_ = result == Session::Logged::window_full;
        if (blocked_) {
            ASSERT_EQ(next(session_->sent_through()), seq);
        }
        observe();
    }

    void take() {
        if (session_->commit_need() == CommitNeed::none && !random_.chance(1, 10)) return;
        under_way_.push_back(session_->take_delivery_change());
    }

    void commit() {
        if (under_way_.empty()) return;
        ++commits_;
        const bool crash_now = commits_ == config_.crash_at_commit;
        if (!crash_now || config_.told) {
            store_.apply(under_way_.front());
            under_way_.pop_front();
            session_->delivery_committed(kNow, fx_);
            observe();
        }
        if (!crash_now) return;
        crashed_as_told_ = true;
        restart();
    }

    /// Some of what was under way is committed, nobody was told; memory is gone.
    void crash() {
        for (std::uint64_t some = random_.below(under_way_.size() + 1); some > 0; --some) {
            store_.apply(under_way_.front());
            under_way_.pop_front();
        }
        restart();
    }

    void restart() {
        SessionParts parts{.sent_through = store_.sent_through};
        for (const Item& item : store_.unfinished) {
            parts.inflight.push_back({.seq = item.seq,
                                      .packet_id = item.packet_id,
                                      .qos = item.qos,
                                      .phase = item.phase,
                                      .message = {},
                                      .subscription_identifiers = {}});
        }
        attach(std::move(parts));
    }

    /// The Detached record commits what the session kept, after all that was under way.
    void lose_connection() {
        SessionParts parts = std::move(*session_).take_parts();
        if (random_.chance(1, 4)) return crash();  // before that record
        store_.sent_through = parts.sent_through;
        store_.unfinished.clear();
        for (InflightMessage& entry : parts.inflight) {
            store_.unfinished.push_back({entry.seq, entry.packet_id, entry.qos, entry.phase});
            if (random_.chance(1, 2)) entry.message.reset();
        }
        attach(std::move(parts));
    }

    void attach(SessionParts parts) {
        wire_.clear();
        fx_.clear();
        under_way_.clear();
        to_client_.clear();
        to_server_.clear();
        last_seq_ = kNoSeq;
        unacknowledged_.clear();
        blocked_ = false;
        resumed_.clear();
        for (const InflightMessage& entry : parts.inflight) resumed_.insert(entry.seq);
        ConnectRequest request = test::durable(config_.version);
        request.receive_maximum = static_cast<std::uint16_t>(random_.between(1, 6));
        window_ = std::min(request.receive_maximum, limits_.inflight_maximum);
        session_.emplace(std::move(request), limits_, std::move(parts));
        (void)session_->send_connack(true, {}, fx_);
        wire_.clear();
        std::vector<Seq> missing;
        session_->missing_messages(missing);
        for (const Seq seq : missing) session_->restore_message(seq, stored(seq), nullptr, fx_);
        session_->send_inflight_again(kNow, fx_);
        observe();
    }

    /// Everything the session sends is looked at the moment it is sent.
    void observe() {
        const Bytes bytes = wire_.take();
        Decoder decoder{config_.version, {}};
        for (ByteView rest{bytes}; !rest.empty();) {
            const auto step = decoder.next(rest);
            ASSERT_TRUE(step.has_value()) << step.error().detail;
            const Decoded& decoded = std::get<Decoded>(*step);
            rest = rest.subspan(decoded.bytes_used);
            if (const auto* publish = std::get_if<PublishView>(&decoded.packet)) {
                sent(*publish);
            } else {
                const auto& pubrel = std::get<PubrelView>(decoded.packet);
                const auto listed = store_.find(pubrel.packet_id);
                ASSERT_NE(listed, store_.unfinished.end());
                ASSERT_EQ(listed->phase, DeliveryPhase::received) << "PUBREL before its commit";
                to_client_.push_back({PacketType::pubrel, pubrel.packet_id, kNoSeq});
            }
        }
        ASSERT_FALSE(fx_.close);
        ASSERT_TRUE(fx_.drops.empty());
        if (fx_.wants_more) blocked_ = false;
        fx_.clear();
    }

    void sent(const PublishView& publish) {
        const Seq seq{std::stoull(std::string{as_text(publish.payload)})};
        ASSERT_GT(seq, last_seq_) << "out of order";
        last_seq_ = seq;
        ASSERT_EQ(publish.qos, log_[seq.value() - 1].qos);
        ASSERT_EQ(publish.dup, resumed_.contains(seq));
        ASSERT_TRUE(unacknowledged_.insert(publish.packet_id).second) << "identifier in use";
        ASSERT_LE(unacknowledged_.size(), window_);
        const auto listed = store_.find(publish.packet_id);
        if (listed != store_.unfinished.end()) {
            ASSERT_EQ(listed->seq, seq) << "identifier not free in the store";
        } else {
            ASSERT_EQ(publish.qos, QoS::at_least_once) << "QoS 2 before its commit";
        }
        to_client_.push_back({PacketType::publish, publish.packet_id, seq});
    }

    void client_reads() {
        if (to_client_.empty()) return;
        const ToClient packet = to_client_.front();
        to_client_.pop_front();
        if (packet.type == PacketType::pubrel) {
            held_.erase(packet.id);
            to_server_.push_back({PacketType::pubcomp, packet.id, false});
            return;
        }
        Logged& message = log_[packet.seq.value() - 1];
        if (message.qos == QoS::at_least_once) {
            ++message.received;
            to_server_.push_back({PacketType::puback, packet.id, false});
            return;
        }
        const bool known = held_.contains(packet.id);
        if (!known && config_.version == ProtocolVersion::v5 && random_.chance(1, 10)) {
            message.refused = true;
            to_server_.push_back({PacketType::pubrec, packet.id, true});
            return;
        }
        if (!known) {
            held_.insert(packet.id);
            ++message.received;
            ASSERT_EQ(message.received, 1) << "QoS 2 twice: " << packet.seq.value();
        }
        to_server_.push_back({PacketType::pubrec, packet.id, false});
    }

    /// Mostly in order; a client that does not keep it must not break anything either.
    void server_reads() {
        if (to_server_.empty()) return;
        const std::size_t at =
            random_.chance(1, 4) ? random_.below(to_server_.size()) : std::size_t{0};
        const Answer answer = to_server_[at];
        to_server_.erase(to_server_.begin() + static_cast<std::ptrdiff_t>(at));
        const auto reason = answer.failure ? ReasonCode::quota_exceeded : ReasonCode::success;
        const bool ends = answer.type != PacketType::pubrec || answer.failure;
        if (ends) unacknowledged_.erase(answer.id);
        const auto receive = [&](auto view) {
            view.packet_id = answer.id;
            view.reason = reason;
            session_->on(view, kNow, fx_);
        };
        if (answer.type == PacketType::puback) receive(PubackView{});
        if (answer.type == PacketType::pubrec) receive(PubrecView{});
        if (answer.type == PacketType::pubcomp) receive(PubcompView{});
        observe();
    }

    [[nodiscard]] bool settled() const {
        return session_->sent_through().value() == log_.size() && session_->inflight_count() == 0 &&
               to_client_.empty() && to_server_.empty() && under_way_.empty() &&
               session_->commit_need() == CommitNeed::none;
    }

    void check_the_end() {
        ASSERT_TRUE(settled()) << "something is waiting for ever";
        ASSERT_TRUE(store_.unfinished.empty());
        ASSERT_TRUE(held_.empty());
        for (std::size_t i = 0; i < log_.size(); ++i) {
            if (log_[i].qos == QoS::at_least_once) {
                ASSERT_GE(log_[i].received, 1) << i + 1;
            }
            if (log_[i].qos == QoS::exactly_once && !log_[i].refused) {
                ASSERT_EQ(log_[i].received, 1) << i + 1;
            }
        }
    }

    struct ToClient {
        PacketType type;
        PacketId id;
        Seq seq;
    };

    Config config_;
    Random random_;
    SessionLimits limits_;
    std::vector<Logged> log_;  // position: index + 1
    Store store_;
    std::deque<DeliveryChange> under_way_;
    std::optional<Session> session_;
    WireBuffer wire_;
    Effects fx_;
    std::deque<ToClient> to_client_;
    std::deque<Answer> to_server_;
    std::set<PacketId> held_;  // QoS 2 identifiers the client has answered with PUBREC
    std::set<PacketId> unacknowledged_;
    std::set<Seq> resumed_;
    Seq last_seq_;
    std::size_t window_ = 0;
    int commits_ = 0;
    bool blocked_ = false;
    bool calm_ = false;
    bool crashed_as_told_ = false;
};

TEST(OutboundProperty, ExactlyOnceAcrossEverything) {
    for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            SCOPED_TRACE(seed);
            World world{{.version = version, .seed = seed}};
            world.run();
            if (HasFatalFailure()) return;
        }
    }
}

// The same run again and again, each time with the crash at the next commit.
TEST(OutboundProperty, CrashAtEachCommit) {
    for (const bool told : {false, true}) {
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            for (int at = 1;; ++at) {
                SCOPED_TRACE(testing::Message() << "seed " << seed << " commit " << at);
                World world{{.seed = seed, .steps = 150, .crash_at_commit = at, .told = told}};
                world.run();
                if (HasFatalFailure()) return;
                if (!world.crashed_as_told()) break;
            }
        }
    }
}

}  // namespace
}  // namespace stentor::mqtt
