#include "server/admin/query.hpp"

#include "base/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace stentor::admin {

namespace {

constexpr std::size_t kNameBytesMax = 64;  // of one that may be a known one's misspelling

Mistake bad_query(std::string error, std::string hint = {}) {
    return {.error = std::move(error), .hint = std::move(hint)};
}

Mistake unknown_name(std::string_view name, std::span<const std::string_view> known) {
    if (known.empty()) return bad_query("this path has no query");
    std::string_view meant;
    if (name.size() <= kNameBytesMax) meant = nearest(name, known);
    if (!meant.empty()) {
        return bad_query(fmt::format("the query has no \"{}\"", name),
                         fmt::format("did you mean \"{}\"?", meant));
    }
    return bad_query("the query has a name that means nothing here",
                     fmt::format("known: {}", fmt::join(known, ", ")));
}

bool is_unreserved(char each) {
    return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
           (each >= '0' && each <= '9') || each == '-' || each == '.' || each == '_' || each == '~';
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    while (!text.empty()) {
        if (text.front() != '%') {
            decoded += text.front();
            text.remove_prefix(1);
            continue;
        }
        if (text.size() < 3) return std::nullopt;
        unsigned code = 0;
        const auto [end, error] = std::from_chars(text.data() + 1, text.data() + 3, code, 16);
        if (error != std::errc{} || end != text.data() + 3) return std::nullopt;
        decoded += static_cast<char>(code);
        text.remove_prefix(3);
    }
    return decoded;
}

std::string percent_encoded(std::string_view text) {
    std::string encoded;
    for (const char each : text) {
        if (is_unreserved(each)) {
            encoded += each;
        } else {
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(each));
        }
    }
    return encoded;
}

Result<Query, Mistake> Query::of(std::string_view target, std::span<const std::string_view> known) {
    Query query;
    const std::size_t begin = target.find('?');
    std::string_view rest = begin == std::string_view::npos ? "" : target.substr(begin + 1);
    while (!rest.empty()) {
        const std::size_t end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
        if (pair.empty()) continue;
        const std::size_t sign = pair.find('=');
        auto name = percent_decoded(pair.substr(0, sign));
        auto value = percent_decoded(sign == std::string_view::npos ? "" : pair.substr(sign + 1));
        if (!name || !value) {
            return bad_query("the query is not percent-encoded as URLs are", "write % as %25");
        }
        if (std::ranges::find(known, std::string_view{*name}) == known.end()) {
            return unknown_name(*name, known);
        }
        if (!query.values_.emplace(*std::move(name), *std::move(value)).second) {
            return bad_query("a name stands in the query twice");
        }
    }
    return query;
}

std::optional<std::string> Query::text(std::string_view name) const {
    const auto at = values_.find(name);
    if (at == values_.end()) return std::nullopt;
    return at->second;
}

Result<std::optional<bool>, Mistake> Query::flag(std::string_view name) const {
    const auto value = text(name);
    if (!value) return std::optional<bool>{};
    if (*value == "true" || *value == "1") return std::optional{true};
    if (*value == "false" || *value == "0") return std::optional{false};
    return bad_query(fmt::format("{} is true or false", name));
}

Result<std::size_t, Mistake> Query::number(std::string_view name,
                                           std::size_t otherwise,
                                           std::size_t least,
                                           std::size_t most) const {
    const auto value = text(name);
    if (!value) return otherwise;
    std::size_t number = 0;
    const char* end = value->data() + value->size();
    const auto [stopped, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc{} || stopped != end || number < least || number > most) {
        return bad_query(fmt::format("{} is a number from {} to {}", name, least, most));
    }
    return number;
}

}  // namespace stentor::admin
