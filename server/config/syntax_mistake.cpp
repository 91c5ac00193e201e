#include "server/config/syntax_mistake.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace stentor::config {
namespace {

constexpr std::string_view kNotClosed = "a quote or bracket that was opened is not closed";
constexpr std::string_view kNoValue = "a key needs a value: key = value";

/// What a line says before its comment, and whether a text is left open at its end.
struct Line {
    std::string_view content;
    char open_quote = 0;
};

Line read_line(std::string_view text) noexcept {
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote == 0 && c == '#') return {.content = trimmed(text.substr(0, i)), .open_quote = 0};
        if (quote == '"' && c == '\\') {
            ++i;
        } else if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == quote) {
            quote = 0;
        }
    }
    return {.content = trimmed(text), .open_quote = quote};
}

std::string_view key_of(std::string_view content) noexcept {
    const auto equals = content.find('=');
    return equals == std::string_view::npos ? std::string_view{}
                                            : trimmed(content.substr(0, equals));
}

/// "Error while parsing key-value pair: expected value, saw '\n'" without its first part.
std::string_view message_of(std::string_view description) noexcept {
    constexpr std::string_view kPrefix = "Error while parsing ";
    if (!description.starts_with(kPrefix)) return description;
    const auto colon = description.find(": ", kPrefix.size());
    return colon == std::string_view::npos ? description.substr(kPrefix.size())
                                           : description.substr(colon + 2);
}

bool has(std::string_view text, std::string_view part) noexcept {
    return text.find(part) != std::string_view::npos;
}

/// The line further up that says the same; for a key only in the section it is in. 0: none is.
std::uint32_t first_time(std::string_view text, std::uint32_t line) noexcept {
    const std::string_view wanted = read_line(line_of(text, line)).content;
    const bool header = wanted.starts_with('[');
    for (std::uint32_t above = line - 1; above > 0; --above) {
        const std::string_view content = read_line(line_of(text, above)).content;
        if (header ? content == wanted : key_of(content) == key_of(wanted)) return above;
        if (!header && content.starts_with('[')) return 0;
    }
    return 0;
}

std::string repeated(std::string_view text, std::uint32_t line, std::string_view message) {
    const std::string content{read_line(line_of(text, line)).content};
    const bool header = content.starts_with('[');
    if (header && has(message, "existing array")) return "write [" + content + ']';
    const std::uint32_t first = first_time(text, line);
    const std::string where = first == 0 ? "it is there" : "line " + std::to_string(first);
    if (header) return where + (first == 0 ? "" : " begins it") + " already: put its keys there";
    return where + (first == 0 ? "" : " sets it") + " already: keep one of the two";
}

/// How a header should have been written: "[[listener" -> "write [[listener]]".
std::string header_hint(std::string_view content) {
    std::string_view name = content;
    while (!name.empty() && (name.front() == '[' || name.front() == ' ')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ']' || name.back() == ' ')) name.remove_suffix(1);
    const bool one_word = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    });
    if (!one_word) return "a section is a word in brackets, for example [limits]";
    const std::string word{name};
    return name == "listener" ? "write [[" + word + "]]" : "write [" + word + ']';
}

/// Of a value that is there but cannot be read: most often quotes are missing.
std::string value_hint(std::string_view content) {
    const auto equals = content.find('=');
    if (equals == std::string_view::npos) return {};
    const std::string_view value = trimmed(content.substr(equals + 1));
    if (value.empty()) return "a value is missing after \"=\"";
    if (value.find_first_of("\"'[]{}=,") != std::string_view::npos) return {};
    if (value == "yes" || value == "on" || value == "True") return "write true";
    if (value == "no" || value == "off" || value == "False") return "write false";
    return "texts, sizes and durations stand in quotes: \"" + std::string{value} + '"';
}

struct Known {
    std::string_view message;  // a part of it
    std::string_view hint;
};

/// The first row that matches counts.
constexpr std::array<Known, 14> kKnown{{
    {"closing ']'", "put commas between the entries of a list, and ] behind the last"},
    {"closing '}'", "write { key = value, key = value } on one line"},
    {"expected '=', saw ':'", "write = between a key and its value"},
    {"expected '=', saw '\\n'", kNoValue},
    {"expected '='", "a key is one word of letters, digits, _ and -, followed by ="},
    {"escape sequence", R"(write \\ for a backslash, or take single quotes: 'C:\data')"},
    {"hex digit", R"(write \\ for a backslash, or take single quotes: 'C:\data')"},
    {"control characters", R"(write it as an escape in double quotes: \u001B for example)"},
    {"whitespace, saw ','", R"(a list stands in brackets: ["a", "b"])"},
    {"expected a comment", "only a comment, begun by #, may follow on this line"},
    {"leading zeroes", "write the number without zeros in front"},
    {"expected keys", "a line is a key = value, a [section] or a # comment"},
    {"utf-8", "save the file as UTF-8"},
    {"end-of-file", kNotClosed},
}};

std::string hint_for(std::string_view content, std::string_view message) {
    const bool in_list = has(message, "closing ']'");
    if (content.starts_with('[') && !in_list) return header_hint(content);
    if (content.ends_with(']') && has(message, "expected '=', saw ']'")) {
        return header_hint(content);
    }
    const bool bare =
        !content.empty() && content.find_first_of("=[]{}\"'") == std::string_view::npos;
    if (bare && has(message, "end-of-file")) return std::string{kNoValue};
    for (const Known& known : kKnown) {
        if (has(message, known.message)) return std::string{known.hint};
    }
    if (std::string hint = value_hint(content); !hint.empty()) return hint;
    return "texts stand in quotes, lists in brackets: toml.io shows how";
}

}  // namespace

SyntaxMistake explain_syntax(std::string_view text, FilePlace place, std::string_view description) {
    const std::string_view message = message_of(description);
    const Line line = read_line(line_of(text, place.line));
    SyntaxMistake mistake{.error = {.what = std::string{message}, .hint = {}}};
    if (message.starts_with("cannot redefine")) {
        mistake.error.hint = repeated(text, place.line, message);
        mistake.is_repetition = true;
        return mistake;
    }
    const bool at_end = has(message, "end-of-file");
    if (line.open_quote != 0 && (at_end || has(message, "control characters"))) {
        mistake.error.what = "the text is not closed";
        mistake.error.hint = std::string{"end it on its line with "} + line.open_quote;
        return mistake;
    }
    mistake.error.hint = hint_for(line.content, message);
    const bool header = line.content.starts_with('[');
    if ((at_end && !header) || has(message, "closing '")) mistake.reach = SyntaxReach::rest;
    return mistake;
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace stentor::config
