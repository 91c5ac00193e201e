#include "tools/sub/output_format.hpp"

#include "tools/sub/message_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

namespace stentor::tools {
namespace {

constexpr std::string_view kParameters = "ACDEFIJPRSUXjlmpqrtx";
constexpr std::string_view kWithFlags = "ACEFIRSXlmptx";  // flags and width mean something
constexpr std::string_view kZeroPadded = "AEFSXlmx";
constexpr std::string_view kTruncated = "CIRt";  // the maximum width means something

bool contains(std::string_view letters, char letter) {
    return letters.find(letter) != letters.npos;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string hex(ByteView bytes, bool upper) {
    auto text = to_hex(bytes);
    if (upper) {
        std::ranges::transform(text, text.begin(), [](char c) {
            return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
        });
    }
    return text;
}

std::string text(const std::optional<std::uint32_t>& number) {
    return number ? std::to_string(*number) : std::string{};
}

/// The plain value of a parameter other than %j and %J.
std::string value_of(char letter, const mqtt::PublishView& message, WallTime at) {
    const auto& properties = message.properties;
    switch (letter) {
        case 'A':
            return text(properties.topic_alias());
        case 'C':
            return std::string{properties.content_type().value_or("")};
        case 'D':
            return std::string{as_text(properties.correlation_data().value_or(ByteView{}))};
        case 'E':
            return text(properties.message_expiry_interval());
        case 'F':
            return properties.has(mqtt::Property::payload_format_indicator)
                       ? std::string{properties.payload_is_utf8() ? "1" : "0"}
                       : std::string{};
        case 'I':
            return iso_8601(at, false);
        case 'P': {
            std::string all;
            for (const auto& user : properties.user_properties()) {
                if (!all.empty()) all += ' ';
                all.append(user.name).append(":").append(user.value);
            }
            return all;
        }
        case 'R':
            return std::string{properties.response_topic().value_or("")};
        case 'S': {
            std::string all;
            for (const auto& identifier : properties.subscription_identifiers()) {
                all += fmt::format("{}{}", all.empty() ? "" : " ", identifier.value);
            }
            return all;
        }
        case 'U': {
            const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
            return fmt::format(
                "{}.{:09}", seconds.time_since_epoch().count(), (at - seconds).count());
        }
        case 'l':
            return std::to_string(message.payload.size());
        case 'm':
            return std::to_string(message.packet_id.value());
        case 'p':
            return std::string{as_text(message.payload)};
        case 'q':
            return std::to_string(static_cast<int>(message.qos));
        case 'r':
            return message.retain ? "1" : "0";
        case 't':
            return std::string{message.topic};
        case 'x':
            return hex(message.payload, false);
        case 'X':
            return hex(message.payload, true);
        default:
            return {};
    }
}

std::string strftime_text(char letter, WallTime at) {
    const std::time_t seconds =
        std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    const std::array<char, 3> format{'%', letter, '\0'};
    std::array<char, 256> out{};
    // The user's own letter: -F is documented to hand it on.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const auto length = std::strftime(out.data(), out.size(), format.data(), &parts);
#pragma GCC diagnostic pop
    return {out.data(), length};
}

std::optional<char> escaped(char letter) {
    switch (letter) {
        case '\\':
            return '\\';
        case '0':
            return '\0';
        case 'a':
            return '\a';
        case 'e':
            return '\033';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'v':
            return '\v';
        default:
            return std::nullopt;
    }
}

}  // namespace

OutputFormat OutputFormat::payload() { return *parse("%p", JsonStyle::compact); }

OutputFormat OutputFormat::topic_and_payload() { return *parse("%t %p", JsonStyle::compact); }

OutputFormat OutputFormat::json(JsonStyle style) {
    OutputFormat format;
    format.style_ = style;
    format.pieces_.push_back({.kind = Kind::whole_json, .text = {}});
    return format;
}

Result<std::size_t, UsageError> OutputFormat::parse_parameter(std::string_view format,
                                                              std::size_t at,
                                                              Piece& piece) {
    const auto start = at;
    const auto cut_short = [&] {
        return UsageError{fmt::format("'{}' is cut short", format.substr(start)),
                          "%% is a percent sign"};
    };
    ++at;
    for (; at < format.size() && (format[at] == '0' || format[at] == '-'); ++at) {
        if (format[at] == '0') piece.fill = '0';
        if (format[at] == '-') piece.align = Align::left;
    }
    const auto take_width = [&](std::size_t& width) {
        const auto first = at;
        while (at < format.size() && is_digit(format[at])) ++at;
        if (at == first) return;
        const auto number = parse_number(format.substr(first, at - first), 0, 100'000);
        width = number ? static_cast<std::size_t>(*number) : 100'000;
    };
    take_width(piece.width_min);
    if (at < format.size() && format[at] == '.') {
        ++at;
        take_width(piece.width_max);
    }
    if (at >= format.size()) return cut_short();
    piece.letter = format[at];
    if (piece.letter == '%') {
        piece.kind = Kind::literal;
        piece.text = "%";
    } else if (contains(kParameters, piece.letter)) {
        piece.kind = Kind::parameter;
    } else {
        return UsageError{fmt::format("'{}' means nothing", format.substr(start, at + 1 - start)),
                          fmt::format("one of % and {} follows a percent sign", kParameters)};
    }
    return at + 1;
}

Result<OutputFormat, UsageError> OutputFormat::parse(std::string_view format, JsonStyle style) {
    OutputFormat parsed;
    parsed.style_ = style;
    std::string literal;
    const auto end_literal = [&] {
        if (!literal.empty()) parsed.pieces_.push_back({.text = std::move(literal)});
        literal.clear();
    };
    for (std::size_t at = 0; at < format.size();) {
        const char c = format[at];
        if (c == '%') {
            Piece piece;
            STENTOR_TRY(at, parse_parameter(format, at, piece));
            end_literal();
            parsed.pieces_.push_back(std::move(piece));
            continue;
        }
        if (c != '@' && c != '\\') {
            literal += c;
            ++at;
            continue;
        }
        if (at + 1 == format.size()) {
            return UsageError{fmt::format("'{}' at the end is cut short", c),
                              fmt::format("{}{} is the character itself", c, c)};
        }
        const char letter = format[at + 1];
        if (c == '\\') {
            const auto character = escaped(letter);
            if (!character) {
                return UsageError{fmt::format("'\\{}' means nothing", letter),
                                  R"(\\ \0 \a \e \n \r \t \v are known)"};
            }
            literal += *character;
        } else if (letter == '@') {
            literal += '@';
        } else {
            end_literal();
            parsed.pieces_.push_back({.kind = letter == 'N' ? Kind::nanoseconds : Kind::time,
                                      .letter = letter,
                                      .text = {}});
        }
        at += 2;
    }
    end_literal();
    return parsed;
}

bool OutputFormat::append(const Piece& piece,
                          const mqtt::PublishView& message,
                          WallTime at,
                          std::string& out) const {
    switch (piece.kind) {
        case Kind::literal:
            out += piece.text;
            return true;
        case Kind::time:
            out += strftime_text(piece.letter, at);
            return true;
        case Kind::nanoseconds: {
            const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
            out += fmt::format("{:09}", (at - seconds).count());
            return true;
        }
        case Kind::whole_json:
            return append_message_json(message, at, PayloadJson::text_or_base64, style_, out);
        case Kind::parameter:
            break;
    }
    if (piece.letter == 'j') {
        return append_message_json(message, at, PayloadJson::text, style_, out);
    }
    if (piece.letter == 'J') {
        return append_message_json(message, at, PayloadJson::value, style_, out);
    }
    if (piece.letter == 'p' && piece.width_min == 0) {  // the common one, without a copy
        out += as_text(message.payload);
        return true;
    }
    auto value = value_of(piece.letter, message, at);
    if (contains(kTruncated, piece.letter)) value.resize(std::min(value.size(), piece.width_max));
    const auto missing = contains(kWithFlags, piece.letter) && value.size() < piece.width_min
                             ? piece.width_min - value.size()
                             : 0;
    if (piece.align == Align::left) {
        out.append(value).append(missing, ' ');
    } else {
        const bool zeros = piece.fill == '0' && contains(kZeroPadded, piece.letter);
        out.append(missing, zeros ? '0' : ' ').append(value);
    }
    return true;
}

bool OutputFormat::print(const mqtt::PublishView& message, WallTime at, std::string& out) const {
    const auto before = out.size();
    for (const auto& piece : pieces_) {
        if (append(piece, message, at, out)) continue;
        out.resize(before);
        return false;
    }
    return true;
}

}  // namespace stentor::tools
