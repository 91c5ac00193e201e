#pragma once
// Structured log lines to stderr: an event name for machines, a message for people, and fields.
//
//     STENTOR_LOG(info, "ready", "started in {} ms", elapsed_ms);
//     STENTOR_LOG(warn, LogEvent("refused", {{"client", id}, {"reason", 0x97}}), "quota exceeded");
//
// On a terminal a line of text, otherwise one JSON object per line with ts, level, event, msg and
// the fields. Never put payloads, passwords, tokens or whole packets into either. Bytes of peers
// are escaped, so nobody can forge a line or send codes to a terminal.
// Any thread. A line is written by whoever logs it; a reader that stopped costs at most 20 ms once,
// then lines are dropped and counted until it reads again.

#include "base/clock.hpp"

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

namespace stentor {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
/// `automatic`: text if the descriptor is a terminal, otherwise JSON.
enum class LogFormat : std::uint8_t { automatic, text, json };

[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;
/// Nothing for a name that is none of trace, debug, info, warn, error.
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view name) noexcept;

struct LogOptions {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::automatic;
    int descriptor = 2;  // stays the caller's, who keeps it open
};

/// Before the first call, lines go to stderr with the defaults. May be called again (tests).
void log_start(const LogOptions& options);
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] bool log_enabled(LogLevel level) noexcept;

/// `key=value` of a line. Borrows both; made in the statement that logs. Keys are snake_case and
/// none of ts, level, event, msg.
class Field {
  public:
    using Value = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view>;

    template <class T>
    Field(std::string_view name, const T& content) noexcept : key{name}, value{convert(content)} {}

    std::string_view key;
    Value value;

  private:
    template <class T>
    static Value convert(const T& content) noexcept {
        if constexpr (std::is_same_v<T, bool>) {
            return content;
        } else if constexpr (std::is_floating_point_v<T>) {
            return static_cast<double>(content);
        } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
            return static_cast<std::int64_t>(content);
        } else if constexpr (std::is_integral_v<T>) {
            return static_cast<std::uint64_t>(content);
        } else {
            return std::string_view{content};
        }
    }
};

/// The second argument of STENTOR_LOG; a bare string literal becomes one without fields.
class LogEvent {
  public:
    LogEvent(const char* event) noexcept : name{event} {}  // NOLINT(google-explicit-constructor)
    /// The list lives until the end of the statement, as long as this object should.
    LogEvent(const char* event, std::initializer_list<Field> list) noexcept
        : name{event}, fields{list.begin(), list.size()} {}

    std::string_view name;
    std::span<const Field> fields;
};

/// At most `lines_max` lines per `interval` for one call site, and a count of those left out:
///
///     static LogEvery every{5, 10s};
///     if (const auto pass = every.admit(now)) {
///         STENTOR_LOG(warn, LogEvent("x", {{"suppressed", pass.suppressed}}), "...");
///     }
///
/// Any thread; at the edge between two intervals a few lines more may pass.
class LogEvery {
  public:
    struct Pass {
        bool admitted = false;
        std::uint64_t suppressed = 0;  // since the last line that passed
        explicit operator bool() const noexcept { return admitted; }
    };

    LogEvery(std::uint32_t lines_max, Duration interval) noexcept
        : lines_max_{lines_max}, interval_{interval} {}

    [[nodiscard]] Pass admit(Instant now) noexcept;

  private:
    const std::uint32_t lines_max_;
    const Duration interval_;
    std::atomic<std::int64_t> interval_start_{Instant::min().time_since_epoch().count()};
    std::atomic<std::uint32_t> lines_{0};
    std::atomic<std::uint64_t> suppressed_{0};
};

/// What STENTOR_LOG calls once the level is known to be enabled.
void log_write(LogLevel level,
               const LogEvent& event,
               fmt::string_view format,
               fmt::format_args arguments) noexcept;

template <class... Args>
void log_line(LogLevel level,
              const LogEvent& event,
              fmt::format_string<Args...> format,
              Args&&... args) noexcept {
    log_write(level, event, format, fmt::make_format_args(args...));
}

}  // namespace stentor

/// STENTOR_LOG(level, event, format, arguments...): level is a bare word (trace .. error), event a
/// literal or a LogEvent, the format is checked by the compiler. Nothing is evaluated while the
/// level is off.
#define STENTOR_LOG(level, event, ...)                                           \
    do {                                                                         \
        if (::stentor::log_enabled(::stentor::LogLevel::level)) {                \
            ::stentor::log_line(::stentor::LogLevel::level, event, __VA_ARGS__); \
        }                                                                        \
    } while (false)
