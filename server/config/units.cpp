#include "server/config/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

namespace stentor::config {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::uint64_t kKilo = 1000;
constexpr std::uint64_t kKibi = 1024;

// Largest first: formatting takes the first that divides the value.
constexpr std::array<Unit, 9> kSizeUnits{{
    {"TiB", kKibi* kKibi* kKibi* kKibi},
    {"TB", kKilo* kKilo* kKilo* kKilo},
    {"GiB", kKibi* kKibi* kKibi},
    {"GB", kKilo* kKilo* kKilo},
    {"MiB", kKibi* kKibi},
    {"MB", kKilo* kKilo},
    {"KiB", kKibi},
    {"kB", kKilo},
    {"B", 1},
}};

constexpr std::array<Unit, 6> kDurationUnits{{
    {"w", 7ULL * 24 * 60 * 60 * 1000},
    {"d", 24ULL * 60 * 60 * 1000},
    {"h", 60ULL * 60 * 1000},
    {"m", 60ULL * 1000},
    {"s", 1000},
    {"ms", 1},
}};

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return lower(x) == lower(y);
    });
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

struct Piece {
    std::uint64_t number;
    std::string_view unit;
};

/// Cuts "12 MiB" or the "1h" of "1h30m" from the front of `text`; nothing if there is no number.
std::optional<Piece> take_piece(std::string_view& text) noexcept {
    Piece piece{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), piece.number);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    const auto unit_end =
        std::find_if(text.begin(), text.end(), [](char c) { return is_digit(c) || c == ' '; });
    piece.unit = text.substr(0, static_cast<std::size_t>(unit_end - text.begin()));
    text.remove_prefix(piece.unit.size());
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return piece;
}

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

constexpr std::string_view kSizeHint = R"(write a whole number with a unit: "64MiB", "500kB")";
constexpr std::string_view kDurationHint = R"(write numbers with units: "90d", "10s", "1h30m")";

ValueError unit_missing(std::uint64_t number, std::string_view examples) {
    return {.what = "the number " + std::to_string(number) + " has no unit",
            .hint = "write " + std::string{examples}};
}

ValueError bare_size(std::uint64_t number) {
    const std::string digits = std::to_string(number);
    return unit_missing(number,
                        quoted(digits + "B") + " for bytes, or " + quoted(digits + "KiB") + ", " +
                            quoted(digits + "MiB"));
}

ValueError bare_duration(std::uint64_t number) {
    const std::string digits = std::to_string(number);
    return unit_missing(number,
                        quoted(digits + "s") + " for seconds, or " + quoted(digits + "ms") + ", " +
                            quoted(digits + "m") + ", " + quoted(digits + "h"));
}

bool multiply_overflows(std::uint64_t a, std::uint64_t b, std::uint64_t max) noexcept {
    return b != 0 && a > max / b;
}

}  // namespace

Result<std::uint64_t, ValueError> parse_size(std::string_view text) {
    std::string_view rest = trimmed(text);
    const auto piece = take_piece(rest);
    if (!piece || !rest.empty()) {
        return ValueError{.what = quoted(text) + " is not a size", .hint = std::string{kSizeHint}};
    }
    if (piece->unit.empty()) {
        if (piece->number == 0) return std::uint64_t{0};
        return bare_size(piece->number);
    }
    for (const Unit& unit : kSizeUnits) {
        if (!equal_ignoring_case(unit.name, piece->unit)) continue;
        if (multiply_overflows(
                piece->number, unit.factor, std::numeric_limits<std::uint64_t>::max())) {
            return ValueError{.what = quoted(text) + " is too large", .hint = {}};
        }
        return piece->number * unit.factor;
    }
    const std::string digits = std::to_string(piece->number);
    if (piece->unit.size() == 1 &&
        std::string_view{"kmgt"}.find(lower(piece->unit.front())) != std::string_view::npos) {
        const std::string letter{static_cast<char>(lower(piece->unit.front()) - 'a' + 'A')};
        return ValueError{
            .what = "the unit " + quoted(piece->unit) + " could mean two things",
            .hint = "write " + quoted(digits + letter + "iB") + " (powers of 1024) or " +
                    quoted(digits + (letter == "K" ? "k" : letter) + "B") + " (powers of 1000)"};
    }
    return ValueError{.what = "unknown unit " + quoted(piece->unit),
                      .hint = "units of size are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"};
}

Result<std::chrono::milliseconds, ValueError> parse_duration(std::string_view text) {
    constexpr auto kMax =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 2000;
    std::string_view rest = trimmed(text);
    std::uint64_t total = 0;
    std::uint64_t smallest_so_far = std::numeric_limits<std::uint64_t>::max();
    bool first = true;
    while (first || !rest.empty()) {
        const auto piece = take_piece(rest);
        if (!piece) {
            return ValueError{.what = quoted(text) + " is not a duration",
                              .hint = std::string{kDurationHint}};
        }
        if (piece->unit.empty()) {
            if (first && rest.empty() && piece->number == 0) return std::chrono::milliseconds{0};
            return bare_duration(piece->number);
        }
        const auto* unit = std::find_if(kDurationUnits.begin(),
                                        kDurationUnits.end(),
                                        [&](const Unit& u) { return u.name == piece->unit; });
        if (unit == kDurationUnits.end()) {
            return ValueError{.what = "unknown unit " + quoted(piece->unit),
                              .hint = "units of time are ms, s, m, h, d, w (lower case)"};
        }
        if (unit->factor >= smallest_so_far) {
            return ValueError{.what = quoted(text) + " is not a duration",
                              .hint = "each unit once, the largest first: \"1h30m\""};
        }
        smallest_so_far = unit->factor;
        if (multiply_overflows(piece->number, unit->factor, kMax) ||
            piece->number * unit->factor > kMax - total) {
            return ValueError{.what = quoted(text) + " is too long", .hint = {}};
        }
        total += piece->number * unit->factor;
        first = false;
    }
    return std::chrono::milliseconds{static_cast<std::int64_t>(total)};
}

std::string format_size(std::uint64_t bytes) {
    if (bytes == 0) return "0";
    std::string shortest;
    for (const Unit& unit : kSizeUnits) {
        if (bytes % unit.factor != 0) continue;
        std::string candidate = std::to_string(bytes / unit.factor) + std::string{unit.name};
        if (shortest.empty() || candidate.size() < shortest.size()) shortest = std::move(candidate);
    }
    return shortest;
}

std::string format_duration(std::chrono::milliseconds duration) {
    auto rest = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
    if (rest == 0) return "0";
    std::string text;
    for (const Unit& unit : kDurationUnits) {
        if (unit.name == "w") continue;  // "90d" says more to most people than "12w6d"
        if (const std::uint64_t count = rest / unit.factor; count != 0) {
            text += std::to_string(count) + std::string{unit.name};
            rest %= unit.factor;
        }
    }
    return text;
}

}  // namespace stentor::config
