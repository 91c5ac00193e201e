#include "server/shard/resting_blocks.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

TEST(RestingBlocks, HoldWhatIsWrittenToThem) {
    RestingBlocks blocks;
    std::vector<std::pair<std::byte*, std::size_t>> taken;
    for (std::size_t size = 1; size <= 3000; ++size) {
        std::byte* const block = blocks.take(size);
        std::memset(block, static_cast<int>(size % 251), size);
        taken.emplace_back(block, size);
    }
    for (const auto& [block, size] : taken) {
        EXPECT_EQ(block[0], static_cast<std::byte>(size % 251));
        EXPECT_EQ(block[size - 1], static_cast<std::byte>(size % 251));
        blocks.give_back(block, size);
    }
}

TEST(RestingBlocks, LieSideBySideAndServeTheirSizeAgain) {
    constexpr std::size_t kSize = 160;
    RestingBlocks blocks;
    std::byte* const first = blocks.take(kSize);
    std::byte* const second = blocks.take(kSize);
    EXPECT_EQ(second - first, static_cast<std::ptrdiff_t>(kSize));
    blocks.give_back(first, kSize);
    std::byte* const again = blocks.take(kSize);
    EXPECT_EQ(again, first);
    blocks.give_back(again, kSize);
    blocks.give_back(second, kSize);
}

}  // namespace
}  // namespace stentor::server
