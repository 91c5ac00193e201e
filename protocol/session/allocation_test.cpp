// The steady path of a session takes no memory: bytes are decoded, PUBLISH packets in both
// directions run their whole exchange, and after a warm-up nothing is allocated but the messages
// themselves, which the shard makes and this test brings along.
//
// A program of its own, because it counts what operator new is asked for.

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/session/session.hpp"
#include "protocol/session/session_script.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <variant>
#include <vector>

namespace {
std::size_t allocations = 0;  // one thread
}  // namespace

// The other forms of operator new come here; sanitizers' own versions are replaced as well.
// Inlined, they would look to gcc like a new that is given to free.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
    std::free(memory);
}

namespace stentor::mqtt {
namespace {

constexpr int kPacketsPerTurn = 8;
constexpr int kTurns = 500;
constexpr int kWarmUpTurns = 20;

struct Case {
    ProtocolVersion version;
    QoS qos;
};

class SteadyPath : public testing::TestWithParam<Case> {
  protected:
    SteadyPath()
        : session_{test::transient(GetParam().version), limits_, {}},
          from_client_{GetParam().version, {}},
          to_client_{test::message({.topic = "a/b", .payload = "payload", .qos = GetParam().qos})},
          next_in_(64 * 1024) {
        next_in_.clear();
        in_.reserve(next_in_.capacity());
        fx_.out = &out_;
        // It stays, because nothing is consumed: what an outbox takes is no concern of this test.
        (void)out_.reserve(kOutBytes);
        from_server_.emplace(GetParam().version, DecodeLimits{});
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
        for (int i = 0; i < kPacketsPerTurn; ++i) {
            const auto id = static_cast<std::uint16_t>(i + 1);
            const bool has_id = GetParam().qos != QoS::at_most_once;
            const bool has_properties = GetParam().version == ProtocolVersion::v5;
            const std::size_t body = 2 + 3 + (has_id ? 2U : 0U) + (has_properties ? 1U : 0U) + 1;
            put(0x30U | static_cast<unsigned>(GetParam().qos) << 1U);
            put(static_cast<unsigned>(body));
            for (const unsigned octet : {0U, 3U, 0x61U, 0x2fU, 0x62U}) put(octet);  // "a/b"
            if (has_id) put_id(id);
            if (has_properties) put(0);
            put(0x78);
        }
    }

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
        session_.ingress(packet.packet_id,
                         packet.qos,
                         Ingress::released,
                         ReasonCode::success,
                         to_client_,
                         1,
                         ++ticket_,
                         fx_);
        ++published_;
    }
    void on(const PubrelView& packet) { (void)session_.on(packet, fx_); }
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
        const Grant grant{.qos = GetParam().qos};
        for (int i = 0; i < kPacketsPerTurn; ++i) session_.deliver(to_client_, grant, now_, fx_);
        publish_from_client();
        std::array<ByteView, 2> parts;
        ASSERT_EQ(out_.gather(parts), 1U);
        read_ += each_packet(
            *from_server_, parts[0].subspan(read_), [this](const auto& packet) { hear(packet); });
        fx_.clear();
    }

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
    int published_ = 0;
    int delivered_ = 0;
};

TEST_P(SteadyPath, TakesNoMemory) {
    for (int i = 0; i < kWarmUpTurns; ++i) turn();
    const std::size_t before = allocations;
    ASSERT_GT(before, 0U) << "the counter counts";
    published_ = delivered_ = 0;
    for (int i = 0; i < kTurns; ++i) turn();
    EXPECT_EQ(allocations - before, 0U);
    // In QoS 2 identifiers are still in use in every other turn.
    EXPECT_GE(published_, kTurns * kPacketsPerTurn / 2);
    EXPECT_GE(delivered_, kTurns * kPacketsPerTurn / 2);
}

INSTANTIATE_TEST_SUITE_P(AllVersions,
                         SteadyPath,
                         testing::Values(Case{ProtocolVersion::v3_1_1, QoS::at_most_once},
                                         Case{ProtocolVersion::v3_1_1, QoS::at_least_once},
                                         Case{ProtocolVersion::v3_1_1, QoS::exactly_once},
                                         Case{ProtocolVersion::v5, QoS::at_most_once},
                                         Case{ProtocolVersion::v5, QoS::at_least_once},
                                         Case{ProtocolVersion::v5, QoS::exactly_once}));

}  // namespace
}  // namespace stentor::mqtt
