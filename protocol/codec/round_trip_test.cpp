// Properties that hold for every packet, tried on random ones: decode(encode(x)) is x, a packet cut
// short is never an error, a damaged one never reads outside its bytes.

#include "protocol/codec/codec_samples.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

namespace stentor::mqtt {
namespace {

constexpr std::array kVersions{ProtocolVersion::v3_1_1, ProtocolVersion::v5};
constexpr std::array kRoles{Role::server, Role::client};

/// A random packet of every kind for each of `seeds` seeds.
std::vector<Sample> samples(std::uint64_t seeds) {
    std::vector<Sample> samples;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        Random random{seed};
        for (const ProtocolVersion version : kVersions) {
            for (const Role receiver : kRoles) {
                for (unsigned type = 1; type <= 15; ++type) {
                    const auto packet = static_cast<PacketType>(type);
                    if (!receives(receiver, version, packet)) continue;
                    samples.push_back(random_sample(random, version, receiver, packet));
                }
            }
        }
    }
    return samples;
}

/// A copy in memory of exactly that size, so that the sanitizers see the first byte beyond.
struct ExactCopy {
    explicit ExactCopy(ByteView from)
        : size{from.size()}, bytes{std::make_unique<std::byte[]>(from.size())} {
        std::copy(from.begin(), from.end(), bytes.get());
    }
    [[nodiscard]] ByteView view() const { return {bytes.get(), size}; }
    std::size_t size;
    std::unique_ptr<std::byte[]> bytes;
};

/// Reads all there is in a packet.
std::size_t walk(const PacketView& packet) { return describe(packet).size(); }

TEST(Codec, DecodesWhatItEncodes) {
    for (const Sample& sample : samples(200)) {
        Decoder decoder = decoder_for(sample);
        const ExactCopy copy{sample.wire};
        const auto step = decoder.next(copy.view());
        ASSERT_TRUE(step) << step.error().detail << "\n" << to_hex(sample.wire);
        const auto* decoded = std::get_if<Decoded>(&*step);
        ASSERT_NE(decoded, nullptr) << to_hex(sample.wire);
        EXPECT_EQ(decoded->bytes_used, sample.wire.size());
        EXPECT_EQ(type_of(decoded->packet), sample.type);
        EXPECT_EQ(describe(decoded->packet), sample.expected) << to_hex(sample.wire);
        EXPECT_EQ(decoder.version(), sample.version);
    }
}

TEST(Codec, TakesOnePacketAndLeavesTheRest) {
    for (const Sample& sample : samples(5)) {
        Decoder decoder = decoder_for(sample);
        Bytes input = sample.wire;
        input.insert(input.end(), {std::byte{0xFF}, std::byte{0xFF}});
        const auto step = decoder.next(input);
        ASSERT_TRUE(step && std::holds_alternative<Decoded>(*step));
        EXPECT_EQ(std::get<Decoded>(*step).bytes_used, sample.wire.size());
    }
}

TEST(Codec, WantsMoreForEveryPrefix) {
    for (const Sample& sample : samples(10)) {
        Decoder decoder = decoder_for(sample);
        // All cuts near both ends, some in between.
        for (std::size_t cut = 0; cut < sample.wire.size();
             cut += cut < 40 || cut + 40 > sample.wire.size() ? 1 : 37) {
            const ExactCopy copy{ByteView{sample.wire}.first(cut)};
            const auto step = decoder.next(copy.view());
            ASSERT_TRUE(step) << step.error().detail << "\n" << to_hex(copy.view());
            const auto* more = std::get_if<NeedMore>(&*step);
            ASSERT_NE(more, nullptr) << to_hex(copy.view());
            EXPECT_GT(more->bytes_min, cut);
            EXPECT_LE(more->bytes_min, sample.wire.size());
        }
    }
}

TEST(Codec, SurvivesEveryDamagedByte) {
    std::size_t packets = 0;
    std::size_t errors = 0;
    for (const Sample& sample : samples(3)) {
        for (std::size_t at = 0; at < sample.wire.size() && at < 400; ++at) {
            for (const unsigned flip : {0x01U, 0x02U, 0x10U, 0x80U, 0xFFU}) {
                const ExactCopy copy{sample.wire};
                copy.bytes[at] ^= static_cast<std::byte>(flip);
                Decoder decoder = decoder_for(sample);
                const auto step = decoder.next(copy.view());
                if (!step) {
                    ++errors;
                    EXPECT_TRUE(is_failure(step.error().reason));
                    EXPECT_STRNE(step.error().detail, "");
                } else if (const auto* decoded = std::get_if<Decoded>(&*step)) {
                    ++packets;
                    EXPECT_LE(decoded->bytes_used, sample.wire.size());
                    walk(decoded->packet);
                }
            }
        }
    }
    EXPECT_GT(packets, 0U);
    EXPECT_GT(errors, 0U);
}

TEST(Codec, SurvivesLengthsThatLie) {
    // A shortened packet whose Remaining Length tells the truth about it: every inner length that
    // now overruns has to be noticed.
    for (const Sample& sample : samples(6)) {
        const ByteView wire{sample.wire};
        std::size_t header = 2;
        while (std::to_integer<unsigned>(wire[header - 1]) >= 0x80U) ++header;
        for (std::size_t body = 0; body < wire.size() - header && body < 100; ++body) {
            Bytes cut{wire[0], static_cast<std::byte>(body)};
            cut.insert(cut.end(),
                       wire.begin() + static_cast<std::ptrdiff_t>(header),
                       wire.begin() + static_cast<std::ptrdiff_t>(header + body));
            const ExactCopy copy{cut};
            Decoder decoder = decoder_for(sample);
            const auto step = decoder.next(copy.view());
            if (!step) continue;
            ASSERT_TRUE(std::holds_alternative<Decoded>(*step));
            walk(std::get<Decoded>(*step).packet);
        }
    }
}

}  // namespace
}  // namespace stentor::mqtt
