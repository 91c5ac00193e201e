// The steady path of a session takes no memory: bytes are decoded, PUBLISH packets in both
// directions run their whole exchange, and after a warm-up nothing is allocated but the messages
// themselves, which the shard makes and this test brings along, and the changes of a durable
// session's delivery state, which are records for the store. For transient and durable sessions,
// plain ones and such that use properties, topic aliases and subscription identifiers.
//
// A program of its own, because it counts what operator new is asked for.

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/session/session.hpp"
#include "protocol/session/session_script.hpp"
#include "tests/kit/allocations.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace stentor::mqtt {
namespace {

constexpr int kPacketsPerTurn = 8;
constexpr int kTurns = 500;
constexpr int kWarmUpTurns = 20;

enum class Lives : std::uint8_t { transient, durable };
enum class Uses : std::uint8_t { little, aliases_and_properties };

struct Case {
    ProtocolVersion version;
    QoS qos;
    Lives lives = Lives::transient;
    Uses uses = Uses::little;
};

ConnectRequest request(const Case& what) {
    ConnectRequest request =
        what.lives == Lives::durable ? test::durable(what.version) : test::transient(what.version);
    if (what.uses == Uses::aliases_and_properties) request.topic_alias_maximum = 4;
    return request;
}

MessagePtr message_to(const Case& what) {
    PropertyWriter properties;
    if (what.uses == Uses::aliases_and_properties) {
        properties.text(Property::content_type, "text/plain");
        properties.user("a name that is not short", "a value that is not short either");
    }
    return Message::create(
        {.topic = "a/topic/that/does/not/fit/into/a/small/string",
         .properties = *parse_properties(properties.bytes(), PropertyContext::publish_to_client),
         .payload = as_bytes(std::string_view{"payload"}),
         .publisher = "publisher",
         .qos = what.qos,
         .retain = false,
         .arrival = {},
         .message_expiry_seconds = {}});
}

class SteadyPath : public testing::TestWithParam<Case> {
  protected:
    SteadyPath()
        : session_{request(GetParam()), limits_, {}},
          from_client_{GetParam().version, {}},
          to_client_{message_to(GetParam())},
          next_in_(64 * 1024) {
        next_in_.clear();
        in_.reserve(next_in_.capacity());
        fx_.out = &out_;
        // It stays, because nothing is consumed: what an outbox takes is no concern of this test.
        (void)out_.reserve(kOutBytes);
        fx_.sampled_deliveries.reserve(kPacketsPerTurn);  // one in 16, so it grows late
        from_server_.emplace(GetParam().version, DecodeLimits{});
        session_.set_live(true);
        (void)session_.send_connack(false, {}, fx_);
        read_ = out_.size();
    }

    static SessionLimits limits() {
        SessionLimits limits;
        limits.outbox_bytes_max = 2 * kOutBytes;
        return limits;
    }

    /// The client's packets of one turn: PUBLISH, and answers to what came in the last one.
    void publish_from_client() {
        constexpr std::string_view kTopic = "from/a/client/with/more/than/a/few/levels";
        const bool has_id = GetParam().qos != QoS::at_most_once;
        const bool v5 = GetParam().version == ProtocolVersion::v5;
        for (int i = 0; i < kPacketsPerTurn; ++i) {
            // The first of a turn says what the alias stands for, the others use it.
            const bool named = !uses_much() || i == 0;
            const std::size_t body = 2 + (named ? kTopic.size() : 0U) + (has_id ? 2U : 0U) +
                                     (v5 ? 1U : 0U) + (uses_much() ? kProperties.size() : 0U) + 1;
            put(0x30U | static_cast<unsigned>(GetParam().qos) << 1U);
            put(static_cast<unsigned>(body));
            put(0);
            put(named ? static_cast<unsigned>(kTopic.size()) : 0U);
            if (named) put(as_bytes(kTopic));
            if (has_id) put_id(static_cast<std::uint16_t>(i + 1));
            if (v5) put(uses_much() ? static_cast<unsigned>(kProperties.size()) : 0U);
            if (uses_much()) put(as_bytes(kProperties));
            put(0x78);
        }
    }
    [[nodiscard]] static bool uses_much() {
        return GetParam().uses == Uses::aliases_and_properties;
    }

    void put(ByteView bytes) { next_in_.insert(next_in_.end(), bytes.begin(), bytes.end()); }
    void put(unsigned octet) { next_in_.push_back(static_cast<std::byte>(octet)); }
    void put_id(std::uint16_t id) {
        put(id >> 8U);
        put(id & 0xFFU);
    }
    void answer(unsigned first_byte, PacketId id) {
        put(first_byte);
        put(2);
        put_id(id.value());
    }

    // --- the broker
    void on(const PublishView& packet) {
        if (!session_.accept_publish(packet, now_, fx_)) return;
        const bool logged = session_.durable() && packet.qos != QoS::at_most_once;
        session_.ingress(packet.packet_id,
                         packet.qos,
                         logged ? Ingress::pending : Ingress::released,
                         ReasonCode::success,
                         to_client_,
                         1,
                         ++ticket_,
                         fx_);
        if (logged) session_.ingress_committed(ticket_, fx_);
        ++published_;
    }
    void on(const PubrelView& packet) {
        if (session_.on(packet, fx_) == Session::Pubrel::answered) return;
        session_.forget_committed(packet.packet_id, fx_);
    }
    void on(const PubackView& packet) { session_.on(packet, now_, fx_); }
    void on(const PubrecView& packet) { session_.on(packet, now_, fx_); }
    void on(const PubcompView& packet) { session_.on(packet, now_, fx_); }
    template <class Other>
    void on(const Other& /*packet*/) {
        FAIL() << "nothing else is sent";
    }

    // --- the client
    void hear(const PublishView& packet) {
        ++delivered_;
        if (packet.qos == QoS::at_least_once) answer(0x40, packet.packet_id);
        if (packet.qos == QoS::exactly_once) answer(0x50, packet.packet_id);
    }
    void hear(const PubrecView& packet) { answer(0x62, packet.packet_id); }
    void hear(const PubrelView& packet) { answer(0x70, packet.packet_id); }
    template <class Other>
    void hear(const Other& /*packet*/) {}

    template <class What>
    static std::size_t each_packet(Decoder& decoder, ByteView bytes, What what) {
        std::size_t used = 0;
        while (used < bytes.size()) {
            const auto step = decoder.next(bytes.subspan(used));
            const auto* decoded = step ? std::get_if<Decoded>(&*step) : nullptr;
            if (decoded == nullptr) {
                ADD_FAILURE() << "not a packet";
                break;
            }
            std::visit(what, decoded->packet);
            used += decoded->bytes_used;
        }
        return used;
    }

    void turn() {
        std::swap(in_, next_in_);
        next_in_.clear();
        (void)each_packet(from_client_, in_, [this](const auto& packet) { on(packet); });
        for (int i = 0; i < kPacketsPerTurn; ++i) deliver();
        commit_deliveries();
        publish_from_client();
        std::array<ByteView, 2> parts;
        ASSERT_EQ(out_.gather(parts), 1U);
        read_ += each_packet(
            *from_server_, parts[0].subspan(read_), [this](const auto& packet) { hear(packet); });
        fx_.clear();
    }

    void deliver() {
        Grant grant{.qos = GetParam().qos};
        if (uses_much()) grant.subscription_identifiers = kIdentifiers;
        if (!session_.durable() || grant.qos == QoS::at_most_once) {
            session_.deliver(to_client_, grant, now_, fx_);
            return;
        }
        const Seq next{session_.sent_through().value() + 1};
        (void)session_.deliver_logged(next, to_client_, grant, now_, fx_);
    }

    /// As a shard does. The change itself is a record, and what it takes is not counted.
    void commit_deliveries() {
        if (session_.commit_need() == CommitNeed::none) return;
        const std::size_t before = kit::allocations;
        {
            const DeliveryChange change = session_.take_delivery_change();
            ++changes_;
        }
        kit::allocations = before;
        session_.delivery_committed(now_, fx_);
    }

    /// Topic Alias 1 and a User Property.
    static constexpr std::string_view kProperties{"\x23\x00\x01\x26\x00\x01k\x00\x01v", 10};
    static constexpr std::array<std::uint32_t, 2> kIdentifiers{1, 300};
    static constexpr std::size_t kOutBytes = std::size_t{1} << 20U;

    const SessionLimits limits_ = limits();
    const Instant now_{std::chrono::hours{1}};
    Session session_;
    Decoder from_client_;
    std::optional<Decoder> from_server_;
    WireBuffer out_;
    Effects fx_;
    MessagePtr to_client_;
    std::vector<std::byte> in_;
    std::vector<std::byte> next_in_;
    std::size_t read_ = 0;
    std::uint64_t ticket_ = 0;
    int changes_ = 0;
    int published_ = 0;
    int delivered_ = 0;
};

TEST_P(SteadyPath, TakesNoMemory) {
    for (int i = 0; i < kWarmUpTurns; ++i) turn();
    const std::size_t before = kit::allocations;
    ASSERT_GT(before, 0U) << "the counter counts";
    published_ = delivered_ = 0;
    for (int i = 0; i < kTurns; ++i) turn();
    EXPECT_EQ(kit::allocations - before, 0U);
    // In QoS 2 identifiers are still in use in every other turn.
    EXPECT_GE(published_, kTurns * kPacketsPerTurn / 2);
    EXPECT_GE(delivered_, kTurns * kPacketsPerTurn / 2);
    const bool keeps = session_.durable() && GetParam().qos != QoS::at_most_once;
    EXPECT_EQ(changes_ > kTurns / 2, keeps);
}

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const auto qos : {QoS::at_most_once, QoS::at_least_once, QoS::exactly_once}) {
        for (const auto lives : {Lives::transient, Lives::durable}) {
            cases.push_back({ProtocolVersion::v3_1_1, qos, lives, Uses::little});
            cases.push_back({ProtocolVersion::v5, qos, lives, Uses::little});
            cases.push_back({ProtocolVersion::v5, qos, lives, Uses::aliases_and_properties});
        }
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(All, SteadyPath, testing::ValuesIn(all_cases()));

}  // namespace
}  // namespace stentor::mqtt
