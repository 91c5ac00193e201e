// A client's PUBLISH packets under random timing: commits that come late or fail, lost connections
// and crashes, from a seed. A client that repeats what is unfinished and a store that applies
// commits naively say what must hold: QoS 2 exactly once, QoS 1 at least once, acknowledgements and
// releases in arrival order, nothing acknowledged before its commit.

#include "base/random.hpp"
#include "protocol/session/session_script.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace stentor::mqtt {
namespace {

constexpr Instant kNow{std::chrono::hours{1}};

class World {
  public:
    World(ProtocolVersion version, std::uint64_t seed) : version_{version}, random_{seed} {
        limits_.receive_maximum = static_cast<std::uint16_t>(random_.between(2, 6));
        fx_.out = &wire_;
        attach({});
    }

    void run() {
        for (int step = 0; step < 400 && !::testing::Test::HasFatalFailure(); ++step) act();
        calm_ = true;
        for (int step = 0; step < 5000 && !client_.empty(); ++step) {
            if (::testing::Test::HasFatalFailure()) return;
            act();
        }
        ASSERT_TRUE(client_.empty()) << "something is waiting for ever";
        ASSERT_TRUE(committed_ids_.empty());
        for (const auto& [payload, qos] : concluded_) {
            const auto times = std::count(taken_.begin(), taken_.end(), payload);
            ASSERT_GE(times, 1) << payload;
            if (qos == QoS::exactly_once) {
                ASSERT_EQ(times, 1) << payload;
            }
        }
    }

  private:
    /// What the client has not finished, in the order of sending.
    struct Unfinished {
        PacketId id;
        QoS qos = QoS::at_least_once;
        std::string payload;
        bool sent = false;      // on this connection
        bool repeated = false;  // from an earlier one
        bool released = false;  // PUBREC came: PUBREL is what is repeated
    };
    struct Commit {
        std::uint64_t ticket = 0;  // 0: forgets `id`
        PacketId id;
        QoS qos = QoS::at_least_once;
        std::string payload;
    };
    struct Answer {
        PacketType type;
        PacketId id;
        ReasonCode reason;
    };

    void act() {
        switch (random_.below(calm_ ? 11 : 15)) {
            case 0:
            case 1:
            case 2:
                return send_next();
            case 3:
            case 4:
            case 5:
            case 6:
                return client_reads();
            case 7:
            case 8:
            case 9:
            case 10:
                return commit();
            case 11:
            case 12:
            case 13:
                return compose();
            default:
                return random_.chance(1, 3) ? lose_connection() : compose();
        }
    }

    void compose() {
        if (client_.size() >= limits_.receive_maximum) return;
        do {
            next_id_ = static_cast<std::uint16_t>(next_id_ % 9 + 1);  // few: reused soon
        } while (find(PacketId{next_id_}) != client_.end());
        client_.push_back({.id = PacketId{next_id_},
                           .qos = random_.chance(1, 2) ? QoS::at_least_once : QoS::exactly_once,
                           .payload = std::to_string(++payloads_)});
    }

    std::deque<Unfinished>::iterator find(PacketId id) {
        return std::find_if(
            client_.begin(), client_.end(), [id](const Unfinished& one) { return one.id == id; });
    }

    void send_next() {
        const auto next = std::find_if(
            client_.begin(), client_.end(), [](const Unfinished& one) { return !one.sent; });
        if (next == client_.end()) return;
        next->sent = true;
        if (next->released) {
            send_pubrel(next->id);
        } else {
            publish(*next);
        }
    }

    void publish(const Unfinished& packet) {
        PublishView view;
        view.dup = packet.repeated;
        view.qos = packet.qos;
        view.packet_id = packet.id;
        view.topic = "t";
        view.payload = as_bytes(packet.payload);
        order_.push_back(packet.id);
        const auto route = session_->accept_publish(view, kNow, fx_);
        if (!route) {  // a duplicate: answered, or about to be
            ASSERT_EQ(packet.qos, QoS::exactly_once);
            ASSERT_TRUE(packet.repeated);
            order_.pop_back();
            return observe();
        }
        ASSERT_EQ(route->keep_identifier, packet.qos == QoS::exactly_once);
        const bool logged = route->keep_identifier || random_.chance(1, 2);
        auto outcome = logged ? Ingress::pending : Ingress::released;
        auto reason = ReasonCode::success;
        if (!calm_ && random_.chance(1, 15)) {
            outcome = Ingress::refused;
            reason = ReasonCode::not_authorized;
        }
        if (outcome == Ingress::pending) {
            commits_.push_back({++tickets_, packet.id, packet.qos, packet.payload});
        }
        if (outcome == Ingress::refused) denied_.insert(packet.payload);
        if (outcome == Ingress::released) released_order_.push_back(packet.payload);
        session_->ingress(packet.id,
                          packet.qos,
                          outcome,
                          reason,
                          test::message({.payload = packet.payload}),
                          1,
                          tickets_,
                          fx_);
        observe();
    }

    void send_pubrel(PacketId id) {
        PubrelView view;
        view.packet_id = id;
        if (session_->on(view, fx_) == Session::Pubrel::commit_forget) {
            commits_.push_back({0, id, QoS::exactly_once, {}});
        }
        observe();
    }

    void apply(const Commit& commit) {
        if (commit.ticket == 0) {
            ASSERT_EQ(committed_ids_.erase(commit.id), 1U);
            return;
        }
        taken_.push_back(commit.payload);
        if (commit.qos == QoS::exactly_once) {
            ASSERT_TRUE(committed_ids_.insert(commit.id).second);
        }
    }

    void commit() {
        if (commits_.empty()) return;
        const Commit commit = commits_.front();
        commits_.pop_front();
        if (commit.ticket == 0) {
            apply(commit);
            session_->forget_committed(commit.id, fx_);
        } else if (!calm_ && random_.chance(1, 12)) {
            session_->ingress_failed(commit.ticket, ReasonCode::quota_exceeded, fx_);
            if (version_ == ProtocolVersion::v3_1_1) {
                ASSERT_TRUE(fx_.close);
                return lose_connection();
            }
        } else {
            apply(commit);
            session_->ingress_committed(commit.ticket, fx_);
        }
        observe();
    }

    /// In a crash some of what is under way is committed and nobody is told; otherwise all is.
    void lose_connection() {
        fx_.close.reset();
        SessionParts parts = std::move(*session_).take_parts();
        std::set<PacketId> kept;
        for (const std::uint16_t id : parts.inbound_qos2) kept.insert(PacketId{id});
        ASSERT_EQ(kept, committed_ids_);
        std::size_t some = random_.chance(1, 2) ? random_.below(commits_.size() + 1)  //
                                                : commits_.size();
        for (; some > 0; --some) {
            apply(commits_.front());
            commits_.pop_front();
        }
        parts.inbound_qos2.clear();
        for (const PacketId id : committed_ids_) parts.inbound_qos2.push_back(id.value());
        attach(std::move(parts));
    }

    void attach(SessionParts parts) {
        wire_.clear();
        fx_.clear();
        commits_.clear();
        answers_.clear();
        order_.clear();
        released_order_.clear();
        paused_ = false;
        for (Unfinished& one : client_) {
            one.repeated = one.repeated || one.sent;
            one.sent = false;
        }
        session_.emplace(test::durable(version_), limits_, std::move(parts));
        (void)session_->send_connack(true, {}, fx_);
        wire_.clear();
    }

    void observe() {
        const Bytes bytes = wire_.take();
        Decoder decoder{version_, {}};
        for (ByteView rest{bytes}; !rest.empty();) {
            const auto step = decoder.next(rest);
            ASSERT_TRUE(step.has_value()) << step.error().detail;
            const Decoded& decoded = std::get<Decoded>(*step);
            rest = rest.subspan(decoded.bytes_used);
            std::visit([this](const auto& packet) { answered(packet); }, decoded.packet);
        }
        for (const Release& release : fx_.releases) {
            const std::string payload{as_text(release.message->payload())};
            ASSERT_FALSE(released_order_.empty());
            ASSERT_EQ(payload, released_order_.front());
            released_order_.pop_front();
            taken_.push_back(payload);
        }
        ASSERT_FALSE(fx_.close);
        if (fx_.pause_reading) paused_ = true;
        if (fx_.resume_reading) {
            ASSERT_TRUE(paused_);
            paused_ = false;
        }
        fx_.clear();
    }

    /// PUBACK and the first PUBREC follow the order of the PUBLISH packets; a repeated one answers
    /// a duplicate and may come at any time.
    void answered(const AckView& packet, PacketType type) {
        if (type != PacketType::pubcomp && !order_.empty() && order_.front() == packet.packet_id) {
            order_.pop_front();
        } else if (type != PacketType::pubcomp) {
            ASSERT_EQ(type, PacketType::pubrec);
            ASSERT_TRUE(committed_ids_.contains(packet.packet_id));
        }
        const bool positive = !is_failure(packet.reason);
        if (type == PacketType::pubrec && positive && version_ == ProtocolVersion::v5) {
            ASSERT_TRUE(committed_ids_.contains(packet.packet_id)) << "before its commit";
        }
        answers_.push_back({type, packet.packet_id, packet.reason});
    }
    void answered(const PubackView& packet) { answered(packet, PacketType::puback); }
    void answered(const PubrecView& packet) { answered(packet, PacketType::pubrec); }
    void answered(const PubcompView& packet) { answered(packet, PacketType::pubcomp); }
    template <class Other>
    void answered(const Other& /*packet*/) {
        FAIL() << "not an answer to a PUBLISH";
    }

    void client_reads() {
        if (answers_.empty()) return;
        const Answer answer = answers_.front();
        answers_.pop_front();
        const auto one = find(answer.id);
        if (one == client_.end()) return;
        if (is_failure(answer.reason) && answer.type != PacketType::pubcomp) {
            client_.erase(one);  // refused, and the client knows
            return;
        }
        if (answer.type == PacketType::pubrec) {
            one->released = true;
            one->sent = true;
            return send_pubrel(answer.id);
        }
        // 3.1.1 acknowledges what it denies.
        if (!denied_.contains(one->payload)) concluded_.emplace_back(one->payload, one->qos);
        client_.erase(one);
    }

    ProtocolVersion version_;
    Random random_;
    SessionLimits limits_;
    std::deque<Unfinished> client_;
    std::deque<Commit> commits_;
    std::deque<Answer> answers_;
    std::deque<PacketId> order_;              // PUBLISH packets to be answered
    std::deque<std::string> released_order_;  // unlogged ones to be released
    std::set<PacketId> committed_ids_;
    std::set<std::string> denied_;
    std::vector<std::string> taken_;  // committed or released
    std::vector<std::pair<std::string, QoS>> concluded_;
    std::optional<Session> session_;
    WireBuffer wire_;
    Effects fx_;
    std::uint64_t tickets_ = 0;
    std::uint64_t payloads_ = 0;
    std::uint16_t next_id_ = 0;
    bool paused_ = false;
    bool calm_ = false;
};

TEST(InboundProperty, ExactlyOnceAcrossEverything) {
    for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            SCOPED_TRACE(seed);
            World world{version, seed};
            world.run();
            if (HasFatalFailure()) return;
        }
    }
}

}  // namespace
}  // namespace stentor::mqtt
