#pragma once
// Where a list of the API goes on, as the text of `after=` and `next`: opaque to clients. Places
// among sessions mean something in this run of the program and this life of a shard only; places
// among topics always do. A text that is too long for the head of a request stays here, and the
// cursor is its number: the newest kLongTextsMax are remembered.
// The HTTP server's thread.

#include "base/ids.hpp"
#include "base/result.hpp"
#include "server/admin/reply.hpp"
#include "server/shard/inquiry.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace stentor::admin {

/// 410: the list has to begin anew.
[[nodiscard]] Mistake stale_cursor();

class Cursors {
  public:
    /// `run` is another number in each run.
    explicit Cursors(std::uint32_t run) noexcept : run_{run} {}

    struct Place {
        std::uint16_t shard = 0;
        server::ListPlace at = {};
    };
    /// `kind` is a letter for each list: their places are not each other's.
    [[nodiscard]] std::string of(char kind, const Place& place);
    [[nodiscard]] Result<Place, Mistake> place(char kind, std::string_view cursor) const;

    [[nodiscard]] std::string of_topic(char kind, std::string_view next_topic);
    [[nodiscard]] Result<std::string, Mistake> topic(char kind, std::string_view cursor) const;

    static constexpr std::size_t kLongTextsMax = 64;
    static constexpr std::size_t kShortBytesMax = 2048;  // in the cursor itself

  private:
    [[nodiscard]] std::string text_out(std::string_view text);
    [[nodiscard]] Result<std::string, Mistake> text_in(std::string_view cursor) const;

    const std::uint32_t run_;
    std::deque<std::string> long_texts_;
    std::uint64_t first_long_ = 0;  // the number of the oldest of them
};

}  // namespace stentor::admin
