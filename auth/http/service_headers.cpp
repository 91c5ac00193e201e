#include "auth/http/service_headers.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace stentor::auth {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::array<std::string_view, 9> kOurs{"connection",
                                                "content-encoding",
                                                "content-length",
                                                "content-type",
                                                "expect",
                                                "host",
                                                "te",
                                                "transfer-encoding",
                                                "upgrade"};

std::string_view trimmed(std::string_view text) noexcept {
    const auto begin = std::min(text.find_first_not_of(kBlanks), text.size());
    text.remove_prefix(begin);
    return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

/// RFC 9110, section 5.6.2.
bool is_token(std::string_view text) noexcept {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               kMarks.find(c) != std::string_view::npos;
    });
}

bool is_field_value(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return c == '\t' || (byte >= 0x20U && byte != 0x7FU);
    });
}

std::string lower_case(std::string_view name) {
    std::string lower{name};
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

bool is_ours(std::string_view name) {
    return std::find(kOurs.begin(), kOurs.end(), lower_case(name)) != kOurs.end();
}

bool has(const std::vector<ServiceHeader>& headers, std::string_view name) {
    return std::any_of(headers.begin(), headers.end(), [&](const ServiceHeader& header) {
        return lower_case(header.name) == lower_case(name);
    });
}

FileError mistake(std::uint32_t line, std::size_t length, std::string what, std::string hint) {
    return {.line = line,
            .column = 1,
            .length = static_cast<std::uint32_t>(std::max<std::size_t>(length, 1)),
            .what = std::move(what),
            .hint = std::move(hint)};
}

}  // namespace

Result<std::vector<ServiceHeader>, std::vector<FileError>> parse_service_headers(
    std::string_view text) {
    std::vector<ServiceHeader> headers;
    std::vector<FileError> errors;
    for (std::uint32_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (trimmed(line).empty() || line.front() == '#') continue;
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) {
            errors.push_back(mistake(number,
                                     1,
                                     "a header has a name, a colon and a value",
                                     "Authorization: Bearer ..."));
            continue;
        }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (!is_token(name)) {
            errors.push_back(mistake(number,
                                     colon,
                                     "the name of a header is letters, digits and '-', and stands "
                                     "at the beginning of the line",
                                     {}));
        } else if (is_ours(name)) {
            errors.push_back(mistake(number,
                                     colon,
                                     "the header " + std::string{name} + " is the broker's to set",
                                     "leave it out"));
        } else if (!is_field_value(value)) {
            errors.push_back(
                mistake(number, colon, "the value of a header has no control characters", {}));
        } else if (has(headers, name)) {
            errors.push_back(mistake(number,
                                     colon,
                                     "the header " + std::string{name} + " stands here already",
                                     "leave one of them out"));
        } else if (headers.size() == kServiceHeadersMax) {
            errors.push_back(mistake(
                number, colon, std::to_string(kServiceHeadersMax) + " headers are enough", {}));
            break;
        } else {
            headers.push_back({std::string{name}, std::string{value}});
        }
    }
    if (!errors.empty()) return errors;
    return headers;
}

}  // namespace stentor::auth
