#include "persistence/sqlite/inspect/stats.hpp"

#include "persistence/sqlite/segment.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

namespace stentor::store {
namespace {

[[nodiscard]] std::uint64_t size_on_disk(const std::string& path) {
    std::uint64_t bytes = 0;
    for (const char* suffix : {"", "-wal"}) {
        std::error_code error;
        const auto size = std::filesystem::file_size(path + suffix, error);
        if (!error) bytes += size;
    }
    return bytes;
}

[[nodiscard]] const char* name(RunState state) {
    switch (state) {
        case RunState::closed:
            return "closed";
        case RunState::open_disk:
            return "open";
        case RunState::open_lossy:
            return "open, newest commits not synced";
        case RunState::restored:
            return "a backup not opened yet";
    }
    return "unknown";
}

struct Counts {
    std::uint64_t attached = 0;
    std::uint64_t detached = 0;
    std::uint64_t for_their_will = 0;
    std::uint64_t subscriptions = 0;
    std::uint64_t unfinished = 0;
    std::uint64_t wills = 0;
    std::optional<Seq> oldest_need;
    ClientId oldest_client;
};

[[nodiscard]] Counts counts_of(const StoredState& state) {
    Counts counts;
    for (const auto& [client, session] : state.sessions()) {
        ++(session.transient  ? counts.for_their_will
           : session.attached ? counts.attached
                              : counts.detached);
        counts.subscriptions += session.subscriptions.size();
        counts.unfinished += session.unfinished.size();
        counts.wills += session.will ? 1U : 0U;
        const std::optional<Seq> need = needed_from(session);
        if (!need || (counts.oldest_need && *counts.oldest_need <= *need)) continue;
        counts.oldest_need = need;
        counts.oldest_client = client;
    }
    return counts;
}

struct Log {
    std::uint64_t sealed = 0;
    std::uint64_t unsealed = 0;
    std::uint64_t bytes = 0;
    Seq last;
    std::vector<Fields> segments;
};

[[nodiscard]] Result<Seq> last_position(Database& segment, Seq first) {
    STENTOR_TRY(Statement newest,
                segment.prepare("SELECT body FROM log_row ORDER BY first DESC LIMIT 1"));
    STENTOR_TRY(const Statement::Step step, newest.step());
    if (step == Statement::Step::done) return Seq{first.value() - 1};
    STENTOR_TRY(const LogRow row, LogRow::parse(newest.blob(0)));
    return row.header().last();
}

[[nodiscard]] Result<void> add_segment(Database& database, const LogFile& file, Log& log) {
    const std::uint64_t bytes = size_on_disk(file.path);
    log.bytes += bytes;
    if (!database.has_tables()) return {};
    STENTOR_TRY(const std::int64_t sealed, database.integer("SELECT count(*) FROM seal"));
    STENTOR_TRY(const std::int64_t rows, database.integer("SELECT count(*) FROM log_row"));
    STENTOR_TRY(const std::int64_t topics,
                database.integer("SELECT count(DISTINCT topic) FROM topic_index"));
    STENTOR_TRY(log.last, last_position(database, file.first));
    ++(sealed != 0 ? log.sealed : log.unsealed);
    Fields& item = log.segments.emplace_back();
    item.add("first", file.first.value())
        .add("last", log.last.value())
        .add("sealed", sealed != 0)
        .add("rows", rows)
        .add("bytes", bytes);
    if (sealed != 0) item.add("topics", topics);
    return {};
}

/// What state.db names and was neither there before it was read nor after: a running broker makes
/// files and removes them. One whose place another has taken counts, after a crash, until the next
/// start.
[[nodiscard]] std::uint64_t missing_of(const std::vector<KnownSegment>& known,
                                       const std::vector<LogFile>& before,
                                       const std::vector<LogFile>& after) {
    const auto is_missing = [&](const KnownSegment& segment) {
        const auto is_it = [&](const LogFile& file) { return file.first == segment.id.first; };
        return std::none_of(before.begin(), before.end(), is_it) &&
               std::none_of(after.begin(), after.end(), is_it);
    };
    return static_cast<std::uint64_t>(std::count_if(known.begin(), known.end(), is_missing));
}

}  // namespace

Result<Fields, Trouble> store_stats(const std::string& directory) {
    STENTOR_TRY(const StoreView view, StoreView::open(directory, WhileRunning::allowed));
    STENTOR_TRY(const std::vector<LogFile> files, view.log_files());
    STENTOR_TRY(StateStore store, view.state());
    STENTOR_TRY(const std::vector<LogFile> files_after, view.log_files());
    const auto state = store.load();
    if (!state) {
        return Trouble{.what = view.state_path() + ": " + state.error().message(),
                       .hint = "`stentor store check` says more"};
    }
    Log log;
    for (const LogFile& file : files) {
        STENTOR_TRY(std::optional<Database> database, view.segment(file));
        if (!database) continue;
        if (const auto added = add_segment(*database, file, log); !added) {
            return Trouble{.what = file.path + ": " + added.error().message(),
                           .hint = "`stentor store check` says more"};
        }
    }
    const Counts counts = counts_of(*state);
    const StateMeta& meta = store.meta();
    Fields fields;
    fields.add("running", view.is_running())
        .add("last_run", name(meta.run_state))
        .add("log_format", segment_format().version)
        .add("state_format", state_format().version)
        .add("applied_through", meta.applied_through.value())
        .add("log_last", log.last.value())
        .add("wall_unix_ms", meta.wall_unix_ms)
        .add("sessions_connected", counts.attached)
        .add("sessions_away", counts.detached)
        .add("wills_of_transient_sessions", counts.for_their_will)
        .add("subscriptions", counts.subscriptions)
        .add("unfinished_deliveries", counts.unfinished)
        .add("wills", counts.wills)
        .add("retained", state->retained().size())
        .add("retained_and_pinned_bytes", store.message_bytes())
        .add("pinned", state->pinned().size())
        .add("segments_sealed", log.sealed)
        .add("segments_unsealed", log.unsealed)
        .add("segments_missing", missing_of(store.segments(), files, files_after))
        .add("log_bytes_on_disk", log.bytes)
        .add("state_bytes_on_disk", size_on_disk(view.state_path()));
    if (counts.oldest_need) {
        fields.add("oldest_need", counts.oldest_need->value())
            .add("oldest_need_of", counts.oldest_client);
    }
    fields.add("segments", log.segments);
    return fields;
}

}  // namespace stentor::store
