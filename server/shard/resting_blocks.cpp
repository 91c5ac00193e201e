#include "server/shard/resting_blocks.hpp"

#include "base/assert.hpp"

#include <new>

namespace stentor::server {

namespace {

// Blocks of a size that are allocated together: as many as there are already, between these.
constexpr std::size_t kTogetherMin = 16;
constexpr std::size_t kTogetherMax = 128;

}  // namespace

std::byte* RestingBlocks::take(std::size_t bytes) {
    STENTOR_ASSERT(bytes != 0);
    if (bytes > kLargest) return static_cast<std::byte*>(::operator new(bytes));
    const std::size_t size = (bytes + kStep - 1) / kStep;
    std::optional<Pool>& pool = pools_[size - 1];
    if (!pool) pool.emplace(size * kStep, kTogetherMin, kTogetherMax);
    void* const block = pool->malloc();
    if (block == nullptr) throw std::bad_alloc{};
    return static_cast<std::byte*>(block);
}

void RestingBlocks::give_back(std::byte* block, std::size_t bytes) noexcept {
    if (bytes > kLargest) {
        ::operator delete(block);
    } else {
        pools_[(bytes + kStep - 1) / kStep - 1]->free(block);
    }
}

}  // namespace stentor::server
