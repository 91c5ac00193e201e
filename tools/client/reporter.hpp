#pragma once
// Messages to the user of a tool: errors with hints, and what -d shows; all on stderr.
// One thread.

#include "tools/client/arguments.hpp"
#include "tools/client/stream.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace stentor::tools {

enum class Verbosity : std::uint8_t { quiet, normal, debug };

class Reporter {
  public:
    /// `program` as the user calls it, e.g. "stentor pub"; must outlive the reporter.
    explicit Reporter(std::string_view program) noexcept : program_{program} {}

    void set(Verbosity verbosity) noexcept { verbosity_ = verbosity; }

    /// Always printed.
    void usage(const UsageError& error) const;
    void error(std::string_view what, std::string_view hint = {}) const;
    void error(const ConnectError& error) const;

    template <class... Args>
    void debug(fmt::format_string<Args...> format, Args&&... args) const {
        if (verbosity_ != Verbosity::debug) return;
        print("", fmt::format(format, std::forward<Args>(args)...), {});
    }

  private:
    void print(std::string_view kind, std::string_view what, std::string_view hint) const;

    std::string_view program_;
    Verbosity verbosity_ = Verbosity::normal;
};

}  // namespace stentor::tools
