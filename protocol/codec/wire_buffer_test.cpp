#include "protocol/codec/wire_buffer.hpp"

#include "base/random.hpp"
#include "protocol/codec/codec_samples.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace stentor::mqtt {
namespace {

IntrusivePtr<const Message> message_of(std::size_t payload_bytes) {
    const Bytes payload(payload_bytes, std::byte{'p'});
    return Message::create({.topic = "t", .payload = payload});
}

TEST(WireBuffer, OwnsNothingWhileEmpty) {
    WireBuffer buffer;
    EXPECT_EQ(buffer.memory_bytes(), 0U);
    buffer.append(as_bytes("hello"));
    EXPECT_GT(buffer.memory_bytes(), 0U);
    buffer.consume(2);
    EXPECT_EQ(to_hex(bytes_of(buffer)), to_hex(as_bytes("llo")));
    buffer.consume(3);
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.memory_bytes(), 0U);
}

TEST(WireBuffer, CopiesSmallPartsAndSharesLargeOnes) {
    const auto small = message_of(kSharedPartBytesMin - 1);
    const auto large = message_of(kSharedPartBytesMin);
    WireBuffer buffer;
    buffer.append_shared(small, small->payload());
    EXPECT_EQ(small->use_count(), 1U);
    buffer.append_shared(large, large->payload());
    EXPECT_EQ(large->use_count(), 2U);
    buffer.consume(kSharedPartBytesMin - 1);
    EXPECT_EQ(large->use_count(), 2U);
    buffer.consume(kSharedPartBytesMin - 1);
    EXPECT_EQ(buffer.size(), 1U);
    buffer.consume(1);
    EXPECT_EQ(large->use_count(), 1U);
}

TEST(WireBuffer, LetsGoOfWhatItShares) {
    const auto large = message_of(kSharedPartBytesMin);
    WireBuffer buffer;
    buffer.append_shared(large, large->payload());
    buffer.clear();
    EXPECT_EQ(large->use_count(), 1U);
    {
        WireBuffer gone;
        gone.append_shared(large, large->payload());
        WireBuffer moved = std::move(gone);
        EXPECT_EQ(moved.size(), kSharedPartBytesMin);
        EXPECT_TRUE(gone.empty());  // NOLINT(bugprone-use-after-move): says so
        EXPECT_EQ(large->use_count(), 2U);
    }
    EXPECT_EQ(large->use_count(), 1U);
}

TEST(WireBuffer, GathersInOrderAsFarAsThereIsRoom) {
    const auto large = message_of(kSharedPartBytesMin);
    WireBuffer buffer;
    buffer.append_shared(large, large->payload());
    buffer.append(as_bytes("a"));
    buffer.append_shared(large, large->payload());
    buffer.append_shared(large, large->payload());
    buffer.append(as_bytes("b"));
    std::array<ByteView, 8> parts;
    ASSERT_EQ(buffer.gather(parts), 5U);
    EXPECT_EQ(parts[0].data(), large->payload().data());
    EXPECT_EQ(as_text(parts[1]), "a");
    EXPECT_EQ(as_text(parts[4]), "b");
    EXPECT_EQ(buffer.gather(std::span{parts}.first(2)), 2U);
    EXPECT_EQ(buffer.gather({}), 0U);
    EXPECT_EQ(WireBuffer{}.gather(parts), 0U);
}

TEST(WireBuffer, GivesWhatLiesTogether) {
    const auto large = message_of(kSharedPartBytesMin);
    WireBuffer buffer;
    EXPECT_TRUE(buffer.front().empty());
    buffer.append(as_bytes("ab"));
    buffer.append_shared(large, large->payload());
    buffer.append(as_bytes("c"));
    EXPECT_EQ(as_text(buffer.front()), "ab");
    buffer.consume(2);
    EXPECT_EQ(buffer.front().data(), large->payload().data());
    buffer.consume(kSharedPartBytesMin);
    EXPECT_EQ(as_text(buffer.front()), "c");
}

TEST(WireBuffer, IsReadAcrossItsParts) {
    const auto large = message_of(kSharedPartBytesMin);
    WireBuffer buffer;
    buffer.append(as_bytes("ab"));
    buffer.append_shared(large, large->payload());
    buffer.append(as_bytes("cd"));
    std::array<std::byte, 5> five{};
    EXPECT_EQ(buffer.read(five), 5U);
    EXPECT_EQ(as_text(five), "abppp");
    WireBuffer other;
    other.append(as_bytes("x"));
    other.append_from(buffer, kSharedPartBytesMin - 2);
    EXPECT_EQ(large->use_count(), 1U);  // copied, and let go
    EXPECT_EQ(other.size(), kSharedPartBytesMin - 1);
    EXPECT_EQ(as_text(other.take()), 'x' + std::string(kSharedPartBytesMin - 3, 'p') + 'c');
    EXPECT_EQ(other.memory_bytes(), 0U);
    EXPECT_EQ(buffer.read(five), 1U);
    EXPECT_EQ(as_text(five).front(), 'd');
    EXPECT_EQ(buffer.read(five), 0U);
    EXPECT_TRUE(buffer.take().empty());
}

TEST(WireBuffer, IsAQueueOfBytesWhateverTheOrderOfCalls) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Random random{seed};
        const auto large = message_of(kSharedPartBytesMin + 100);
        WireBuffer buffer;
        std::string expected;
        for (int step = 0; step < 400; ++step) {
            switch (random.below(6)) {
                case 0:
                case 1: {
                    const std::string text(random.below(700), static_cast<char>(random.below(256)));
                    buffer.append(as_bytes(text));
                    expected += text;
                    break;
                }
                case 2: {
                    const auto part = large->payload().subspan(random.below(200));
                    buffer.append_shared(large, part);
                    expected += as_text(part);
                    break;
                }
                case 3: {
                    std::byte* to = buffer.reserve(100);
                    std::memset(to, step, 40);
                    buffer.commit(40);
                    expected.append(40, static_cast<char>(step));
                    break;
                }
                case 4: {
                    WireBuffer moved = std::move(buffer);
                    buffer = std::move(moved);
                    break;
                }
                default: {
                    const std::size_t bytes = random.below(
                        random.chance(1, 3) ? expected.size() + 1
                                            : std::min<std::size_t>(expected.size(), 900) + 1);
                    buffer.consume(bytes);
                    expected.erase(0, bytes);
                }
            }
            ASSERT_EQ(buffer.size(), expected.size()) << "seed " << seed;
            std::array<ByteView, 512> parts;
            std::string gathered;
            for (const ByteView part : std::span{parts}.first(buffer.gather(parts))) {
                ASSERT_FALSE(part.empty());
                gathered += as_text(part);
            }
            ASSERT_TRUE(gathered == expected) << "seed " << seed << " step " << step;
        }
        buffer.clear();
        EXPECT_EQ(large->use_count(), 1U);
    }
}

TEST(WireBuffer, DoesNotGrowUnderAReaderWhoKeepsUp) {
    WireBuffer buffer;
    const std::string packet(200, 'x');
    buffer.append(as_bytes("pending"));
    for (int i = 0; i < 10'000; ++i) {
        buffer.append(as_bytes(packet));
        buffer.consume(packet.size());
    }
    EXPECT_LE(buffer.memory_bytes(), 1024U);
}

}  // namespace
}  // namespace stentor::mqtt
