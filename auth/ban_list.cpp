#include "auth/ban_list.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

namespace stentor::auth {

namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kUntil = " until ";
constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

/// Digits of `format` (0) are read, everything else has to stand there.
std::optional<std::vector<int>> numbers_of(std::string_view text, std::string_view format) {
    if (text.size() != format.size()) return std::nullopt;
    std::vector<int> numbers;
    bool in_number = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (format[i] != '0') {
            if (text[i] != format[i]) return std::nullopt;
            in_number = false;
            continue;
        }
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        if (!std::exchange(in_number, true)) numbers.push_back(0);
        numbers.back() = 10 * numbers.back() + (text[i] - '0');
    }
    return numbers;
}

/// "2026-12-31" (its beginning) or "2026-12-31T23:59:59Z", as milliseconds since 1970.
std::optional<std::int64_t> parse_date(std::string_view text) {
    auto numbers = numbers_of(text, "0000-00-00");
    if (!numbers) numbers = numbers_of(text, "0000-00-00T00:00:00Z");
    if (!numbers) return std::nullopt;
    numbers->resize(6);
    const auto at = [&](std::size_t i) { return (*numbers)[i]; };
    const std::chrono::year_month_day date{std::chrono::year{at(0)},
                                           std::chrono::month{static_cast<unsigned>(at(1))},
                                           std::chrono::day{static_cast<unsigned>(at(2))}};
    if (!date.ok() || at(3) > 23 || at(4) > 59 || at(5) > 59) return std::nullopt;
    const std::chrono::sys_time<std::chrono::milliseconds> moment =
        std::chrono::sys_days{date} + std::chrono::hours{at(3)} + std::chrono::minutes{at(4)} +
        std::chrono::seconds{at(5)};
    return moment.time_since_epoch().count();
}

std::string network_key(const AddressBytes& address, unsigned bits) {
    const AddressBytes kept = masked(address, bits);
    std::string key(1, static_cast<char>(bits));
    key.append(reinterpret_cast<const char*>(kept.data()), kept.size());
    return key;
}

}  // namespace

void BanList::add(Until& to, std::string_view key, std::int64_t until) {
    std::int64_t& at = to.try_emplace(std::string{key}, until).first->second;
    at = std::max(at, until);
}

bool BanList::holds(const Until& bans, std::string_view key, std::int64_t now_ms) {
    const auto found = bans.find(key);
    return found != bans.end() && now_ms < found->second;
}

void BanList::parse_line(std::string_view line,
                         std::uint32_t number,
                         std::vector<FileError>& errors) {
    const auto fail = [&](std::string_view where, std::string what, std::string hint) {
        const auto column = static_cast<std::uint32_t>(where.data() - line.data()) + 1;
        errors.push_back(
            {.line = number,
             .column = column,
             .length = static_cast<std::uint32_t>(std::max<std::size_t>(1, where.size())),
             .what = std::move(what),
             .hint = std::move(hint)});
    };
    const std::string_view text = trimmed(line);
    if (text.empty() || text.front() == '#') return;
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    if (word != "client" && word != "user" && word != "address") {
        fail(word, "a line begins with client, user, address or #", "client sensor-17");
        return;
    }
    std::string_view who = trimmed(text.substr(word.size()));
    std::int64_t until = kForEver;
    if (const auto at = who.rfind(kUntil); at != std::string_view::npos) {
        const std::string_view date = trimmed(who.substr(at + kUntil.size()));
        const auto parsed = parse_date(date);
        if (!parsed) {
            fail(date, "not a date", "2026-12-31 or 2026-12-31T23:59:59Z (UTC)");
            return;
        }
        until = *parsed;
        who = trimmed(who.substr(0, at));
    }
    if (who.empty()) {
        fail(word, "a ban names somebody", std::string{word} + " NAME, with or without until DATE");
    } else if (word == "client") {
        add(clients_, who, until);
    } else if (word == "user") {
        add(users_, who, until);
    } else if (const auto network = parse_network(who)) {
        const std::size_t before = networks_.size();
        add(networks_, network_key(network->address, network->bits), until);
        if (networks_.size() != before) ++lengths_[network->bits];
    } else {
        fail(who, "neither an address nor a network", "192.0.2.1, 10.0.0.0/8 or 2001:db8::/32");
    }
}

Result<BanList, std::vector<FileError>> BanList::parse(std::string_view text) {
    BanList bans;
    std::vector<FileError> errors;
    for (std::uint32_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        bans.parse_line(text.substr(0, end), number, errors);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (!errors.empty()) return errors;
    return bans;
}

bool BanList::bans_client(std::string_view client_id, std::int64_t now_ms) const {
    return holds(clients_, client_id, now_ms);
}

bool BanList::bans_user(std::string_view user, std::int64_t now_ms) const {
    return !user.empty() && holds(users_, user, now_ms);
}

bool BanList::bans_address(std::string_view address, std::int64_t now_ms) const {
    if (networks_.empty()) return false;
    const auto parsed = parse_address(address);
    if (!parsed) return false;
    for (unsigned bits = 0; bits < lengths_.size(); ++bits) {
        if (lengths_[bits] != 0 && holds(networks_, network_key(*parsed, bits), now_ms)) {
            return true;
        }
    }
    return false;
}

}  // namespace stentor::auth
