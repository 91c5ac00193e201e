#include "server/admin/cursors.hpp"

#include "base/base64.hpp"
#include "base/bytes.hpp"

#include <fmt/format.h>

#include <charconv>
#include <concepts>
#include <optional>
#include <utility>

namespace stentor::admin {

namespace {

Mistake bad_cursor() {
    return {.code = "bad_cursor",
            .error = "after is not what the last page of this list said as next",
            .hint = "leave it out to begin anew"};
}

/// Takes a number and the '.' behind it.
template <std::unsigned_integral Number>
std::optional<Number> take(std::string_view& from) {
    Number number = 0;
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), number);
    if (error != std::errc{}) return std::nullopt;
    from.remove_prefix(static_cast<std::size_t>(end - from.data()));
    if (!from.starts_with('.')) return std::nullopt;
    from.remove_prefix(1);
    return number;
}

}  // namespace

Mistake stale_cursor() {
    return {.status = Status::gone,
            .code = "stale_cursor",
            .error = "this list cannot go on: the broker, or its store, was started anew since",
            .hint = "begin anew, without after"};
}

std::string Cursors::text_out(std::string_view text) {
    if (text.size() <= kShortBytesMax) return 't' + base64url(as_bytes(text));
    if (long_texts_.size() == kLongTextsMax) {
        long_texts_.pop_front();
        ++first_long_;
    }
    long_texts_.emplace_back(text);
    return fmt::format("n{}.{}.", run_, first_long_ + long_texts_.size() - 1);
}

Result<std::string, Mistake> Cursors::text_in(std::string_view cursor) const {
    if (cursor.starts_with('t')) {
        const auto bytes = from_base64url(cursor.substr(1));
        if (!bytes) return bad_cursor();
        return std::string{as_text(*bytes)};
    }
    if (!cursor.starts_with('n')) return bad_cursor();
    cursor.remove_prefix(1);
    const auto run = take<std::uint32_t>(cursor);
    const auto number = run ? take<std::uint64_t>(cursor) : std::nullopt;
    if (!number || !cursor.empty()) return bad_cursor();
    const bool is_known =
        *run == run_ && *number >= first_long_ && *number - first_long_ < long_texts_.size();
    if (!is_known) return stale_cursor();
    return long_texts_[static_cast<std::size_t>(*number - first_long_)];
}

std::string Cursors::of(char kind, const Place& place) {
    return fmt::format("{}{}.{}.{}.{}.{}",
                       kind,
                       run_,
                       place.shard,
                       place.at.listing,
                       place.at.slot,
                       text_out(place.at.next_text));
}

Result<Cursors::Place, Mistake> Cursors::place(char kind, std::string_view cursor) const {
    if (!cursor.starts_with(kind)) return bad_cursor();
    cursor.remove_prefix(1);
    Place place;
    const auto run = take<std::uint32_t>(cursor);
    const auto shard = run ? take<std::uint16_t>(cursor) : std::nullopt;
    const auto listing = shard ? take<std::uint32_t>(cursor) : std::nullopt;
    const auto slot = listing ? take<std::uint32_t>(cursor) : std::nullopt;
    if (!slot) return bad_cursor();
    if (*run != run_) return stale_cursor();
    STENTOR_TRY(std::string text, text_in(cursor));
    place.shard = *shard;
    place.at = {.listing = *listing, .slot = *slot, .next_text = std::move(text)};
    return place;
}

std::string Cursors::of_topic(char kind, std::string_view next_topic) {
    return kind + text_out(next_topic);
}

Result<std::string, Mistake> Cursors::topic(char kind, std::string_view cursor) const {
    if (!cursor.starts_with(kind)) return bad_cursor();
    return text_in(cursor.substr(1));
}

}  // namespace stentor::admin
