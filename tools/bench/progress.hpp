#pragma once
// The line that says a run is alive, once a second, on stderr.
// Main thread.

#include "base/clock.hpp"
#include "tools/bench/fleet.hpp"
#include "tools/bench/meter.hpp"
#include "tools/bench/traffic.hpp"

#include <cstdint>
#include <string_view>

namespace stentor::bench {

class Progress {
  public:
    /// `quiet`: says nothing. On a terminal the line replaces itself.
    Progress(bool quiet, pid_t broker) noexcept;

    /// Prints when it is time; cheap otherwise.
    void tick(std::string_view phase, const Fleet& fleet, const Traffic& traffic);
    /// Leaves the terminal's line free for what comes.
    void finish();

  private:
    bool quiet_;
    bool terminal_;
    bool line_open_ = false;
    pid_t broker_;
    Instant begun_;
    Reading last_;
    std::uint64_t last_published_ = 0;
    std::uint64_t last_delivered_ = 0;
};

/// Notices when nothing moves any more.
class Watch {
  public:
    Watch(Instant start, Duration patience) noexcept
        : patience_{patience}, first_{start}, last_{start} {}

    /// `count` is anything that grows while there is progress.
    void see(std::uint64_t count, Instant now) noexcept {
        if (count == count_) return;
        if (count_ == 0) first_ = now;
        count_ = count;
        last_ = now;
    }
    [[nodiscard]] bool stalled(Instant now) const noexcept { return now - last_ > patience_; }
    [[nodiscard]] Instant first() const noexcept { return first_; }
    [[nodiscard]] Instant last() const noexcept { return last_; }

  private:
    Duration patience_;
    std::uint64_t count_ = 0;
    Instant first_;
    Instant last_;
};

}  // namespace stentor::bench
