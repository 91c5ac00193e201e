// The steady path of a client takes no memory: PUBLISH packets in both directions run their whole
// exchange with a server that answers at once, and after a warm-up nothing is allocated. With every
// QoS, and with topic aliases that the session chooses or the caller gives.
//
// A program of its own, because it counts what operator new is asked for.

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/session/client/client_session.hpp"
#include "tests/kit/allocations.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace stentor::mqtt {
namespace {

constexpr int kMessagesPerTurn = 8;
constexpr int kTurns = 500;
constexpr int kWarmUpTurns = 20;
constexpr std::size_t kOutBytes = std::size_t{4} << 20U;
constexpr std::string_view kTopic = "a/topic/that/does/not/fit/into/a/small/string";

enum class Aliases : std::uint8_t { none, chosen, given };

struct Case {
    ProtocolVersion version;
    QoS qos;
    Aliases aliases = Aliases::none;
};

ClientOptions options(const Case& what) {
    ClientOptions options;
    options.version = what.version;
    options.client_id = "client";
    if (what.aliases == Aliases::chosen) options.topic_aliases_max = 4;
    if (what.aliases != Aliases::none) {
        PropertyWriter properties;
        properties.number(Property::topic_alias_maximum, 4);
        const ByteView block = properties.bytes();
        options.connect_properties.assign(block.begin(), block.end());
    }
    return options;
}

class ClientSteadyPath : public testing::TestWithParam<Case> {
  protected:
    ClientSteadyPath() : session_{options(GetParam())}, server_{DecodeLimits{}} {
        // They stay, because nothing is consumed: what buffers take is no concern of this test.
        (void)up_.reserve(kOutBytes);
        (void)down_.reserve(kOutBytes);
        if (GetParam().aliases != Aliases::none) alias_.number(Property::topic_alias, 1);
        session_.connect(CleanStart::yes, now_, up_);
        pump();
        EXPECT_TRUE(session_.connected());
    }

    // --- the server
    void on(const ConnectView& /*packet*/) {
        PropertyWriter properties;
        properties.number(Property::topic_alias_maximum, 4);
        const bool v5 = GetParam().version == ProtocolVersion::v5;
        (void)encode_connack(
            down_, GetParam().version, {.properties = v5 ? properties.bytes() : ByteView{}});
    }
    void on(const PublishView& packet) {
        ++published_;
        if (packet.qos == QoS::at_least_once) answer(PacketType::puback, packet.packet_id);
        if (packet.qos == QoS::exactly_once) answer(PacketType::pubrec, packet.packet_id);
    }
    void on(const PubrecView& packet) { answer(PacketType::pubrel, packet.packet_id); }
    void on(const PubrelView& packet) { answer(PacketType::pubcomp, packet.packet_id); }
    template <class Other>
    void on(const Other& /*packet*/) {}
    void answer(PacketType type, PacketId id) {
        (void)encode_ack(down_, GetParam().version, {.type = type, .packet_id = id});
    }
    void deliver(int number) {
        const bool named = GetParam().aliases == Aliases::none || number == 1;
        const bool has_id = GetParam().qos != QoS::at_most_once;
        (void)encode_publish(
            down_,
            GetParam().version,
            {.topic = named ? kTopic : std::string_view{},
             .qos = GetParam().qos,
             .packet_id = has_id ? PacketId{static_cast<std::uint16_t>(number)} : kNoPacketId,
             .properties = alias_.bytes()});
    }

    /// Until nobody has anything to say.
    void pump() {
        while (up_.size() > up_read_ || down_.size() > down_read_) {
            ByteView up = up_.front().subspan(up_read_);
            up_read_ += up.size();
            while (!up.empty()) {
                const auto step = server_.next(up);
                const auto* decoded = step ? std::get_if<Decoded>(&*step) : nullptr;
                ASSERT_NE(decoded, nullptr) << "not a packet";
                std::visit([this](const auto& packet) { on(packet); }, decoded->packet);
                up = up.subspan(decoded->bytes_used);
            }
            ByteView down = down_.front().subspan(down_read_);
            down_read_ += down.size();
            for (;;) {
                const ClientEvent event = session_.next(down, now_, up_);
                if (std::holds_alternative<NeedInput>(event)) break;
                ASSERT_FALSE(std::holds_alternative<Closed>(event));
                if (std::holds_alternative<Received>(event)) ++received_;
                if (std::holds_alternative<PublishDone>(event)) ++done_;
            }
        }
    }

    void turn() {
        for (int i = 1; i <= kMessagesPerTurn; ++i) {
            const bool gives = GetParam().aliases == Aliases::given;
            const Publish packet{.topic = kTopic,
                                 .qos = GetParam().qos,
                                 .properties = gives ? alias_.bytes() : ByteView{}};
            ASSERT_TRUE(session_.publish(packet, 1, now_, up_));
            deliver(i);
        }
        pump();
    }

    const Instant now_{std::chrono::hours{1}};
    ClientSession session_;
    Decoder server_;
    WireBuffer up_;
    WireBuffer down_;
    std::size_t up_read_ = 0;
    std::size_t down_read_ = 0;
    PropertyWriter alias_;
    int published_ = 0;
    int received_ = 0;
    int done_ = 0;
};

TEST_P(ClientSteadyPath, TakesNoMemory) {
    for (int i = 0; i < kWarmUpTurns; ++i) turn();
    const std::size_t before = kit::allocations;
    ASSERT_GT(before, 0U) << "the counter counts";
    published_ = received_ = done_ = 0;
    for (int i = 0; i < kTurns; ++i) turn();
    EXPECT_EQ(kit::allocations - before, 0U);
    EXPECT_EQ(published_, kTurns * kMessagesPerTurn);
    EXPECT_EQ(received_, kTurns * kMessagesPerTurn);
    const bool is_answered = GetParam().qos != QoS::at_most_once;
    EXPECT_EQ(done_, is_answered ? kTurns * kMessagesPerTurn : 0);
}

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const auto qos : {QoS::at_most_once, QoS::at_least_once, QoS::exactly_once}) {
        cases.push_back({ProtocolVersion::v3_1_1, qos});
        for (const auto aliases : {Aliases::none, Aliases::chosen, Aliases::given}) {
            cases.push_back({ProtocolVersion::v5, qos, aliases});
        }
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ClientSteadyPath, testing::ValuesIn(all_cases()));

}  // namespace
}  // namespace stentor::mqtt
