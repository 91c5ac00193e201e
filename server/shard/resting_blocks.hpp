#pragma once
// Memory for resting sessions, apart from everything that comes and goes: among the short-lived
// blocks of connections and entries they would keep a multiple of their size from being used again.
// Blocks of a size lie side by side and serve that size again; none goes back before the end.
// One thread: the shard's.

#include <boost/pool/pool.hpp>

#include <array>
#include <cstddef>
#include <optional>

namespace stentor::server {

class RestingBlocks {
  public:
    /// Throws std::bad_alloc.
    [[nodiscard]] std::byte* take(std::size_t bytes);
    /// One that was taken with the same size.
    void give_back(std::byte* block, std::size_t bytes) noexcept;

  private:
    using Pool = boost::pool<>;
    static constexpr std::size_t kStep = 8;
    static constexpr std::size_t kLargest = 1024;  // beyond it each block is on its own

    std::array<std::optional<Pool>, kLargest / kStep> pools_;  // by size, rounded up
};

}  // namespace stentor::server
