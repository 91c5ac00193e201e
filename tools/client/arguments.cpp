#include "tools/client/arguments.hpp"

#include "base/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace stentor::tools {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kHelpColumn = 30;

/// Appends `text` word by word, every line indented to `indent`; the first one already is.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
    std::size_t column = indent;
    bool at_start = true;
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(" \n"), text.size());
        const auto word = text.substr(0, end);
        if (!at_start && column + 1 + word.size() > kColumns) {
            out.append("\n").append(indent, ' ');
            column = indent;
            at_start = true;
        }
        if (!at_start) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        at_start = false;
        if (end < text.size() && text[end] == '\n') {
            out.append("\n").append(indent, ' ');
            column = indent;
            at_start = true;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    out += '\n';
}

std::string heading(const Option& option) {
    std::string text = "  ";
    text += option.letter.empty() ? "    " : option.letter;
    if (!option.name.empty()) {
        if (!option.letter.empty()) text += ", ";
        text += option.name;
    }
    if (!option.values.empty()) text.append(" ").append(option.values);
    return text;
}

}  // namespace

Result<std::string_view, UsageError> ArgumentValues::next(std::string_view what) {
    if (taken_ == words_.size()) return UsageError{fmt::format("{} is missing", what)};
    return words_[taken_++];
}

ArgumentParser::ArgumentParser(std::vector<OptionGroup> groups, std::vector<RefusedOption> refused)
    : groups_{std::move(groups)}, refused_{std::move(refused)} {}

const Option* ArgumentParser::find(std::string_view word) const noexcept {
    if (word.empty()) return nullptr;
    for (const auto& group : groups_) {
        for (const auto& option : group.options) {
            if (word == option.letter || word == option.name) return &option;
        }
    }
    return nullptr;
}

UsageError ArgumentParser::unknown(std::string_view word) const {
    for (const auto& refused : refused_) {
        if (word == refused.word) {
            return {fmt::format("{} is not supported", word), std::string{refused.why}};
        }
    }
    if (!word.starts_with('-')) {
        return {fmt::format("'{}' is not an option", word),
                "values follow their option, topics -t, messages -m"};
    }
    std::vector<std::string_view> names;  // not the letters: every one is near every other
    for (const auto& group : groups_) {
        for (const auto& option : group.options) {
            if (!option.name.empty()) names.push_back(option.name);
        }
    }
    // "-host" for "--host"; a letter with its value attached.
    std::string hint;
    const std::string doubled = "-" + std::string{word};
    if (find(doubled) != nullptr) {
        hint = fmt::format("did you mean {}?", doubled);
    } else if (const auto* option = find(word.substr(0, 2));
               option != nullptr && !word.starts_with("--") && word.size() > 2) {
        hint = option->values.empty()
                   ? fmt::format("options are written one by one: {} ...", option->letter)
                   : fmt::format("did you mean {} {}?", option->letter, word.substr(2));
    } else if (const auto near = nearest(word, names); !near.empty()) {
        hint = fmt::format("did you mean {}?", near);
    } else {
        hint = "--help lists all options";
    }
    return {fmt::format("unknown option {}", word), hint};
}

Usage ArgumentParser::parse(std::span<const std::string_view> words) const {
    while (!words.empty()) {
        auto word = words.front();
        words = words.subspan(1);
        const Option* option = find(word);
        std::vector<std::string_view> attached;
        if (const auto equals = word.find('=');
            option == nullptr && word.starts_with("--") && equals != word.npos) {
            option = find(word.substr(0, equals));
            if (option != nullptr) {
                if (option->values.empty()) {
                    return UsageError{fmt::format("{} takes no value", option->name)};
                }
                attached.push_back(word.substr(equals + 1));
                attached.insert(attached.end(), words.begin(), words.end());
                word = word.substr(0, equals);
            }
        }
        if (option == nullptr) return unknown(word);
        ArgumentValues values{attached.empty() ? words
                                               : std::span<const std::string_view>{attached}};
        if (auto applied = option->apply(values); !applied) {
            auto error = std::move(applied).error();
            error.what = fmt::format("{}: {}", word, error.what);
            return error;
        }
        words = words.subspan(values.taken() - (attached.empty() ? 0 : 1));
    }
    return {};
}

std::string ArgumentParser::help() const {
    std::string text;
    for (const auto& group : groups_) {
        text.append("\n").append(group.title).append(":\n");
        for (const auto& option : group.options) {
            auto line = heading(option);
            if (line.size() + 2 > kHelpColumn) {
                text.append(line).append("\n").append(kHelpColumn, ' ');
            } else {
                text.append(line).append(kHelpColumn - line.size(), ' ');
            }
            append_wrapped(text, option.help, kHelpColumn);
        }
    }
    return text;
}

std::function<Usage(ArgumentValues&)> set(bool& target) {
    return [&target](ArgumentValues& /*values*/) -> Usage {
        target = true;
        return {};
    };
}

std::function<Usage(ArgumentValues&)> take(std::string& target) {
    return [&target](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("its value"));
        target = text;
        return {};
    };
}

std::function<Usage(ArgumentValues&)> take(std::optional<std::string>& target) {
    return [&target](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("its value"));
        target = text;
        return {};
    };
}

namespace {

template <class Target>
std::function<Usage(ArgumentValues&)> take_the_first(std::string_view word, Target& target) {
    return [word, &target, is_given = false](ArgumentValues& values) mutable -> Usage {
        STENTOR_TRY(const auto text, values.next("its value"));
        if (std::exchange(is_given, true)) {
            return UsageError{std::string{word} + " is given twice",
                              "it takes one value; call the program once for each"};
        }
        target = text;
        return {};
    };
}

}  // namespace

std::function<Usage(ArgumentValues&)> take_once(std::string_view word, std::string& target) {
    return take_the_first(word, target);
}
std::function<Usage(ArgumentValues&)> take_once(std::string_view word,
                                                std::optional<std::string>& target) {
    return take_the_first(word, target);
}

std::function<Usage(ArgumentValues&)> collect(std::vector<std::string>& target) {
    return [&target](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("its value"));
        target.emplace_back(text);
        return {};
    };
}

Result<std::int64_t, UsageError> parse_number(std::string_view text,
                                              std::int64_t min,
                                              std::int64_t max) {
    std::int64_t number = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || number < min || number > max) {
        return UsageError{fmt::format("'{}' is not a whole number from {} to {}", text, min, max)};
    }
    return number;
}

Result<double, UsageError> parse_seconds(std::string_view text) {
    double seconds = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, seconds, std::chars_format::fixed);
    constexpr double kMax = 1e9;
    if (error != std::errc{} || stop != end || !std::isfinite(seconds) || seconds < 0 ||
        seconds > kMax) {
        return UsageError{fmt::format("'{}' is not a number of seconds such as 2 or 0.5", text)};
    }
    return seconds;
}

Result<mqtt::ProtocolVersion, UsageError> parse_version(std::string_view text) {
    if (text == "5" || text == "5.0" || text == "mqttv5") return mqtt::ProtocolVersion::v5;
    if (text == "311" || text == "3.1.1" || text == "mqttv311") {
        return mqtt::ProtocolVersion::v3_1_1;
    }
    return UsageError{fmt::format("'{}' is not a version we speak", text), "5 or 311"};
}

}  // namespace stentor::tools
