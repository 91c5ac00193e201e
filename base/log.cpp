#include "base/log.hpp"

#include "base/utf8.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>

namespace stentor {
namespace {

// A write of at most PIPE_BUF bytes to a pipe that poll() calls writable never blocks and never
// mixes with other writers. Messages and values are cut so that a line stays below it.
constexpr std::size_t kLineBytesMax = PIPE_BUF;
constexpr std::size_t kMessageBytesMax = 2048;
constexpr std::size_t kValueBytesMax = 512;
constexpr std::size_t kReserveBytes = 128;  // the time stamp before, the closing brace after
constexpr int kStallMs = 20;

std::atomic<LogLevel> g_level{LogLevel::info};

/// Appends `text` so that it is safe inside a JSON string and on a terminal, at most `bytes_max`
/// bytes of it (and three dots). Quotes are escaped for JSON only.
void append_escaped(std::string& out,
                    std::string_view text,
                    std::size_t bytes_max,
                    LogFormat format) {
    const std::size_t end = out.size() + bytes_max;
    while (!text.empty()) {
        if (out.size() + 6 > end) {
            out += "...";
            return;
        }
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += "\xef\xbf\xbd";  // U+FFFD
            text.remove_prefix(1);
            continue;
        }
        const char first = text[0];
        if (first == '\n') {
            out += "\\n";
        } else if (begins_with_control(text)) {
            // Of those with two bytes the second is the code.
            const unsigned code = static_cast<unsigned char>(text[length - 1]);
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
        } else if (format == LogFormat::json && (first == '"' || first == '\\')) {
            out += '\\';
            out += first;
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
}

void append_value(std::string& out, const Field::Value& value, LogFormat format) {
    const auto visitor = [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
            const bool quoted = format == LogFormat::json || v.empty() ||
                                v.find_first_of(" =\"") != std::string_view::npos;
            if (quoted) out += '"';
            append_escaped(out, v, kValueBytesMax, quoted ? LogFormat::json : format);
            if (quoted) out += '"';
        } else if constexpr (std::is_same_v<T, double>) {
            // JSON has no word for the others.
            if (std::isfinite(v)) {
                fmt::format_to(std::back_inserter(out), "{}", v);
            } else {
                out += "null";
            }
        } else {
            fmt::format_to(std::back_inserter(out), "{}", v);
        }
    };
    std::visit(visitor, value);
}

void append_fields(std::string& out, const LogEvent& event, LogFormat format) {
    for (const Field& field : event.fields) {
        if (out.size() + field.key.size() + kValueBytesMax + kReserveBytes > kLineBytesMax) return;
        if (format == LogFormat::json) {
            out += ",\"";
            append_escaped(out, field.key, kValueBytesMax, format);
            out += "\":";
        } else {
            out += ' ';
            out += field.key;
            out += '=';
        }
        append_value(out, field.value, format);
    }
}

std::string_view colour_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::trace:
        case LogLevel::debug:
            return "\x1b[2m";
        case LogLevel::info:
            return "\x1b[32m";
        case LogLevel::warn:
            return "\x1b[33m";
        case LogLevel::error:
            return "\x1b[1;31m";
    }
    return "";
}

/// Writes whole lines to a descriptor without ever waiting long for whoever reads them.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    DescriptorSink(int descriptor, LogFormat format) : descriptor_{descriptor}, format_{format} {}

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        if (!ready()) {
            ++dropped_;
            return;
        }
        if (dropped_ != 0) {
            report_dropped();
            if (!ready()) {
                ++dropped_;
                return;
            }
        }
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        write_all({line.data(), line.size()});
    }
    void flush_() override {}

  private:
    bool ready() noexcept {
        pollfd entry{.fd = descriptor_, .events = POLLOUT, .revents = 0};
        const int count = ::poll(&entry, 1, stalled_ ? 0 : kStallMs);
        stalled_ = count <= 0 || (entry.revents & POLLOUT) == 0;
        return !stalled_;
    }

    void report_dropped() {
        const std::string text =
            format_ == LogFormat::json
                ? fmt::format(R"("level":"warn","event":"log_dropped",)"
                              R"("msg":"log reader stalled","lines":{})",
                              dropped_)
                : fmt::format("warn  log_dropped: log reader stalled lines={}", dropped_);
        spdlog::memory_buf_t line;
        formatter_->format(spdlog::details::log_msg{"", spdlog::level::warn, text}, line);
        dropped_ = 0;
        write_all({line.data(), line.size()});
    }

    void write_all(std::string_view line) noexcept {
        while (!line.empty()) {
            const auto written = ::write(descriptor_, line.data(), line.size());
            if (written >= 0) {
                line.remove_prefix(static_cast<std::size_t>(written));
                if (line.empty() || ready()) continue;
            } else if (errno == EINTR) {
                continue;
            }
            ++dropped_;  // gone, or not reading: nobody to tell
            return;
        }
    }

    const int descriptor_;
    const LogFormat format_;
    bool stalled_ = false;
    std::uint64_t dropped_ = 0;
};

/// The logger in use and how it formats. Replaced as a whole by log_start().
struct Backend {
    explicit Backend(const LogOptions& options)
        : format{options.format != LogFormat::automatic ? options.format
                 : ::isatty(options.descriptor) == 1    ? LogFormat::text
                                                        : LogFormat::json},
          colour{format == LogFormat::text && ::isatty(options.descriptor) == 1 &&
                 std::getenv("NO_COLOR") == nullptr} {
        auto sink = std::make_shared<DescriptorSink>(options.descriptor, format);
        const bool json = format == LogFormat::json;
        sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(
            json ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%fZ",%v})" : "%Y-%m-%d %H:%M:%S.%e %v",
            json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local));
        logger = std::make_unique<spdlog::logger>("stentor", std::move(sink));
        logger->set_level(spdlog::level::trace);  // ours decides, before anything is formatted
    }

    const LogFormat format;
    const bool colour;
    std::unique_ptr<spdlog::logger> logger;
};

std::mutex& backend_mutex() {
    static std::mutex mutex;
    return mutex;
}

/// Never destroyed: threads may log while the process exits.
std::shared_ptr<Backend>& backend_slot() {
    static auto* const kSlot = new std::shared_ptr<Backend>;
    return *kSlot;
}

std::shared_ptr<Backend> backend() {
    const std::lock_guard lock{backend_mutex()};
    auto& slot = backend_slot();
    if (!slot) slot = std::make_shared<Backend>(LogOptions{});
    return slot;
}

std::string compose(const Backend& to,
                    LogLevel level,
                    const LogEvent& event,
                    std::string_view message) {
    std::string line;
    line.reserve(256);
    if (to.format == LogFormat::json) {
        line += R"("level":")";
        line += to_string(level);
        line += R"(","event":")";
        append_escaped(line, event.name, kValueBytesMax, to.format);
        line += R"(","msg":")";
        append_escaped(line, message, kMessageBytesMax, to.format);
        line += '"';
    } else {
        if (to.colour) line += colour_of(level);
        fmt::format_to(std::back_inserter(line), "{:<5}", to_string(level));
        if (to.colour) line += "\x1b[0m";
        line += ' ';
        line += event.name;
        line += ": ";
        append_escaped(line, message, kMessageBytesMax, to.format);
    }
    append_fields(line, event, to.format);
    return line;
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
    constexpr std::array<std::string_view, 5> kNames{"trace", "debug", "info", "warn", "error"};
    return kNames.at(static_cast<std::size_t>(level));
}

std::optional<LogLevel> parse_log_level(std::string_view name) noexcept {
    for (const LogLevel level :
         {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
        if (name == to_string(level)) return level;
    }
    return std::nullopt;
}

void log_start(const LogOptions& options) {
    auto fresh = std::make_shared<Backend>(options);
    g_level.store(options.level, std::memory_order_relaxed);
    const std::lock_guard lock{backend_mutex()};
    backend_slot() = std::move(fresh);
}

void set_log_level(LogLevel level) noexcept { g_level.store(level, std::memory_order_relaxed); }

bool log_enabled(LogLevel level) noexcept {
    return level >= g_level.load(std::memory_order_relaxed);
}

void log_write(LogLevel level,
               const LogEvent& event,
               fmt::string_view format,
               fmt::format_args arguments) noexcept {
    try {
        const auto to = backend();
        const std::string line = compose(*to, level, event, fmt::vformat(format, arguments));
        to->logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
    } catch (const std::exception&) {
        // Out of memory, or a clock the C library cannot print: a line is lost, the broker goes on.
        return;
    }
}

LogEvery::Pass LogEvery::admit(Instant now) noexcept {
    const std::int64_t at = now.time_since_epoch().count();
    std::int64_t start = interval_start_.load(std::memory_order_relaxed);
    const bool first = start == Instant::min().time_since_epoch().count();
    if ((first || at - start >= interval_.count()) &&
        interval_start_.compare_exchange_strong(start, at, std::memory_order_relaxed)) {
        lines_.store(0, std::memory_order_relaxed);
    }
    if (lines_.fetch_add(1, std::memory_order_relaxed) < lines_max_) {
        return {.admitted = true, .suppressed = suppressed_.exchange(0, std::memory_order_relaxed)};
    }
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return {};
}

}  // namespace stentor
