#pragma once
// The sqlite engine's bounds and what happens at each.
// Values.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace stentor::store {

struct SqliteEngineOptions {
    std::string directory;     // made if it is not there; one process at a time
    std::uint16_t shards = 1;  // that report needed_from()
    AcknowledgeAfter acknowledge_after = AcknowledgeAfter::disk;

    // Segments, retained and pinned messages together; then store_full for messages.
    std::uint64_t log_bytes_max = std::uint64_t{10} << 30U;
    std::uint64_t disk_free_bytes_min = 0;  // less on the file system: the same
    Duration age_max = {};  // of messages, by the store's clock; zero: any. See give_way()
    // A log may be nearly full before everybody has to give way who needs the oldest of it.
    Duration give_way_patience = std::chrono::seconds{10};

    std::size_t queue_batches_max = 4096;  // submitted and not yet committed; then Push::full
    std::size_t queue_bytes_max = std::size_t{64} << 20U;  // one batch above it fits an empty queue
    std::size_t reads_max = 4096;                          // asked and not yet answered
    std::size_t group_batches_max = 4096;
    std::size_t group_bytes_max = std::size_t{4} << 20U;  // a group has at least one batch

    std::size_t segment_bytes_max = std::size_t{64} << 20U;  // of rows; then a new one is begun
    std::size_t row_bytes_max = std::size_t{64} << 10U;      // a row has at least one record
    std::size_t tail_bytes_max = std::size_t{32} << 20U;     // newest groups kept in memory
    // Committed and not yet applied to state.db, held in memory and bounding recovery; then
    // commits wait.
    std::size_t apply_lag_bytes_max = std::size_t{64} << 20U;
    std::size_t apply_chunk_bytes = std::size_t{8} << 20U;  // applied at once, before the time
    Duration apply_interval = std::chrono::milliseconds{500};
    std::size_t scanned_per_page_max = 4096;  // records a scan looks at for one page
    std::size_t row_cache_bytes_max = std::size_t{32} << 20U;  // what readers keep of files
    // Between surveys of what is needed; the longer one when the last has freed nothing.
    Duration survey_pause_min = std::chrono::seconds{2};
    Duration survey_pause_max = std::chrono::seconds{30};

    // A file of the log is missing when the store is opened, of which all has been applied: what
    // sessions still want of it is lost. `accept`: they are told when they come to it, and the next
    // start accepts it, too.
    enum class MissingSegments : std::uint8_t { refuse, accept };
    MissingSegments missing_segments = MissingSegments::refuse;

    bool must_exist = false;  // the store: none is made
    // Opened again after a failure, by a process that has seen commits up to here: it must exist,
    // and positions jump if it ends earlier.
    std::optional<Seq> reopens_after;

    std::string vfs;  // SQLite's; empty: the system's
    std::int64_t (*wall_clock_unix_ms)() noexcept = &stentor::wall_clock_unix_ms;
    // What of the time between commits the store's clock believes.
    Instant (*monotonic_now)() noexcept = &stentor::monotonic_now;
};

}  // namespace stentor::store
