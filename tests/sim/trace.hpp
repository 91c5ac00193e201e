#pragma once
// The last events of a simulation, for people who look at a seed that failed.
// One thread.

#include "base/clock.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <deque>
#include <string>
#include <utility>

namespace stentor::sim {

class Trace {
  public:
    /// `lines_max` 0: nothing is kept and nothing formatted.
    explicit Trace(std::size_t lines_max) : lines_max_{lines_max} {}

    void set_now(Instant now) noexcept { now_ = now; }

    template <class... Args>
    void add(fmt::format_string<Args...> text, Args&&... args) {
        if (lines_max_ == 0) return;
        if (lines_.size() == lines_max_) lines_.pop_front();
        lines_.push_back(
            fmt::format("{:>12.6f} ", static_cast<double>(now_.time_since_epoch().count()) / 1e6) +
            fmt::format(text, std::forward<Args>(args)...));
    }

    [[nodiscard]] std::string text() const {
        std::string all;
        for (const std::string& line : lines_) all += line + '\n';
        return all;
    }

  private:
    std::size_t lines_max_;
    Instant now_;
    std::deque<std::string> lines_;
};

}  // namespace stentor::sim
