#pragma once
// Command lines in the manner of mosquitto_pub: one table of options gives parsing, help text and
// the "did you mean" of a mistake.
// Pure, start-up only.
//
// An option's values are the words that follow it, whatever they look like (`-m -5` sends "-5");
// `--name=value` is understood too. Words that are no options and single letters run together are
// errors: scripts should not work by accident.

#include "base/result.hpp"
#include "protocol/codec/types.hpp"

#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::tools {

/// Why a command line is refused; `hint` says what to write instead and may be empty.
struct UsageError {
    std::string what;
    std::string hint{};
};

using Usage = Result<void, UsageError>;

/// The words an option may take as its values.
class ArgumentValues {
  public:
    explicit ArgumentValues(std::span<const std::string_view> words) noexcept : words_{words} {}

    /// The next word; fails, naming `what` was expected, when there is none.
    [[nodiscard]] Result<std::string_view, UsageError> next(std::string_view what);
    [[nodiscard]] std::size_t taken() const noexcept { return taken_; }

  private:
    std::span<const std::string_view> words_;
    std::size_t taken_ = 0;
};

struct Option {
    std::string_view letter;  // "-h"; may be empty
    std::string_view name;    // "--host"; may be empty if there is a letter
    std::string_view values;  // "HOST" as shown in the help; empty: a flag
    std::string_view help;    // '\n' starts a new line
    std::function<Usage(ArgumentValues&)> apply;
};

struct OptionGroup {
    std::string_view title;
    std::vector<Option> options;
};

/// Options of Mosquitto's tools we know and refuse, with the reason.
struct RefusedOption {
    std::string_view word;
    std::string_view why;
};

class ArgumentParser {
  public:
    /// The views in the groups must live as long as the parser (string literals do).
    ArgumentParser(std::vector<OptionGroup> groups, std::vector<RefusedOption> refused);

    /// Applies the options from left to right; stops at the first mistake.
    [[nodiscard]] Usage parse(std::span<const std::string_view> words) const;

    /// All groups, aligned, at most 80 columns.
    [[nodiscard]] std::string help() const;

  private:
    [[nodiscard]] const Option* find(std::string_view word) const noexcept;
    [[nodiscard]] UsageError unknown(std::string_view word) const;

    std::vector<OptionGroup> groups_;
    std::vector<RefusedOption> refused_;
};

// --- what an option does with its value ---

/// Sets `target` to true. It must outlive the parser, as with the functions below.
[[nodiscard]] std::function<Usage(ArgumentValues&)> set(bool& target);
[[nodiscard]] std::function<Usage(ArgumentValues&)> take(std::string& target);
[[nodiscard]] std::function<Usage(ArgumentValues&)> take(std::optional<std::string>& target);
/// An option that makes no sense twice; `word` is its name, for the complaint.
[[nodiscard]] std::function<Usage(ArgumentValues&)> take_once(std::string_view word,
                                                              std::string& target);
[[nodiscard]] std::function<Usage(ArgumentValues&)> take_once(std::string_view word,
                                                              std::optional<std::string>& target);
/// Collects the values of an option that may be given several times.
[[nodiscard]] std::function<Usage(ArgumentValues&)> collect(std::vector<std::string>& target);

/// A whole number, min <= number <= max.
[[nodiscard]] Result<std::int64_t, UsageError> parse_number(std::string_view text,
                                                            std::int64_t min,
                                                            std::int64_t max);
/// Seconds with an optional fraction, not negative.
[[nodiscard]] Result<double, UsageError> parse_seconds(std::string_view text);

/// "5" or "311", or how Mosquitto's tools write them.
[[nodiscard]] Result<mqtt::ProtocolVersion, UsageError> parse_version(std::string_view text);

/// For a version, or an optional one.
template <class T>
[[nodiscard]] std::function<Usage(ArgumentValues&)> take_version(T& target) {
    return [&target](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("the version"));
        STENTOR_TRY(target, parse_version(text));
        return {};
    };
}

/// For a double, or an optional one.
template <class T>
[[nodiscard]] std::function<Usage(ArgumentValues&)> take_seconds(T& target) {
    return [&target](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("a number of seconds"));
        STENTOR_TRY(target, parse_seconds(text));
        return {};
    };
}

template <class T>
[[nodiscard]] std::function<Usage(ArgumentValues&)> take_number(T& target,
                                                                std::int64_t min,
                                                                std::int64_t max) {
    return [&target, min, max](ArgumentValues& values) -> Usage {
        STENTOR_TRY(const auto text, values.next("a number"));
        STENTOR_TRY(const auto number, parse_number(text, min, max));
        if constexpr (requires { target.emplace(); }) {
            target = static_cast<typename T::value_type>(number);
        } else {
            target = static_cast<T>(number);
        }
        return {};
    };
}

}  // namespace stentor::tools
