#pragma once
// Finds out, by the shards' surveys of what they need, which segments of the log nobody needs any
// more although some session far behind keeps everything after it, and which are nearly dead: what
// is needed of those is copied into a new file, with its positions, and they go.
//
// The background thread's. One step looks at one segment or writes one file, so that applying and
// sealing get their turn in between. A file that has been written counts from the moment it is
// sealed, whatever becomes of the process: what deliveries refer to in the files it takes the place
// of is pinned before the step that writes it (about_to_replace()).

#include "base/clock.hpp"
#include "base/result.hpp"
#include "persistence/contract/need_survey.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/sqlite_options.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace stentor::store {

/// What one step found out or did.
struct Collected {
    std::vector<SegmentView>
        dead;  // to be removed; what deliveries refer to is to be pinned before
    /// If a file was written: what it replaces, in order, and what is now in their place.
    std::vector<SegmentView> replaced;
    std::optional<SegmentReader::Seal> replacement;
    std::string path;
    bool newest_is_dead = false;  // nearly: a new one is worth it
};

class LogCollector {
  public:
    LogCollector(const SqliteEngineOptions& options, const LogCatalog& catalog)
        : options_{options}, catalog_{catalog} {}

    /// Whether there is nothing to do for step().
    [[nodiscard]] bool is_idle() const noexcept { return !needs_.has_value(); }
    /// Begins with what the log is now; only segments through `applied_through` are touched.
    void begin(NeedSurvey needs, Seq applied_through, Instant now);
    /// What the file that the next step() writes takes the place of; nothing if it writes none.
    [[nodiscard]] std::span<const SegmentView> about_to_replace() const noexcept;
    /// A segment that is damaged is left as it is, now and later. Fails when no file can be opened
    /// or written: nothing has changed, and the rest is given up until the next survey.
    [[nodiscard]] Result<Collected> step(Instant now);
    /// What is about to be replaced stays as it is.
    void give_up_replacing(Instant now);

    /// Whether surveys are wanted: something may be held up, and the last try is long enough ago.
    [[nodiscard]] bool wants_survey(Seq needed, Instant now) const;
    /// From here on the shards take them.
    void asked() { asked_at_ = catalog_.last(); }
    /// What the last survey did not free is about to be given up: the next one comes soon.
    void hurry(Instant now) {
        next_at_ = std::min(next_at_, saturating_add(now, options_.survey_pause_min));
    }

  private:
    struct Candidate {
        SegmentView view;
        std::uint64_t messages = 0;
        std::uint64_t needed = 0;
        bool is_known = true;  // false: its index could not be read

        [[nodiscard]] bool is_nearly_dead() const noexcept;
        [[nodiscard]] std::uint64_t needed_bytes() const noexcept;
    };

    [[nodiscard]] Result<void> examine(Candidate& candidate) const;
    [[nodiscard]] bool examine_newest(const SegmentView& newest) const;
    [[nodiscard]] bool may_be_rewritten(const Candidate& candidate) const noexcept;
    void plan();
    [[nodiscard]] Result<Collected> rewrite(const std::vector<SegmentView>& sources) const;
    void finish(Instant now);

    const SqliteEngineOptions& options_;
    const LogCatalog& catalog_;

    std::optional<NeedSurvey> needs_;
    std::vector<Candidate> candidates_;  // ascending
    std::size_t examined_ = 0;
    std::vector<std::vector<SegmentView>> rewrites_;  // once all are examined
    bool freed_something_ = false;

    Instant began_at_;
    Seq asked_at_;  // nothing has happened since: another survey would say the same
    Instant next_at_;
    Duration pause_{};
};

}  // namespace stentor::store
