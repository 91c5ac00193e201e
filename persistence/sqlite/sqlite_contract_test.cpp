#include "persistence/contract/engine_under_test.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "tests/kit/temp_dir.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::store {
namespace {

class SqliteUnderTest final : public EngineUnderTest {
  public:
    SqliteUnderTest(const EngineBounds& bounds, SqliteEngineOptions options)
        : options_{std::move(options)} {
        options_.directory = directory_.path().string();
        options_.shards = bounds.shards;
        options_.log_bytes_max = bounds.log_bytes_max;
        options_.queue_batches_max = bounds.queue_batches_max;
        options_.reads_max = bounds.reads_max;
        // Few messages per scan, so that pages end without having found anything.
        options_.scanned_per_page_max = 8;
        engine_.emplace(options_);
    }

    StorageEngine& engine() override { return *engine_; }
    [[nodiscard]] bool keeps() const override { return true; }
    [[nodiscard]] bool keeps_whole_segments() const override { return true; }
    void reopen() override { engine_.emplace(options_); }

  private:
    kit::TempDir directory_;
    SqliteEngineOptions options_;
    std::optional<SqliteEngine> engine_;
};

EngineCase sqlite(std::string name, const SqliteEngineOptions& options) {
    return {.name = std::move(name), .make = [options](const EngineBounds& bounds) {
                return std::make_unique<SqliteUnderTest>(bounds, options);
            }};
}

}  // namespace

std::vector<EngineCase> engine_cases() {
    // Everything from memory; everything from files; little of either, applied at once.
    SqliteEngineOptions no_tail;
    no_tail.tail_bytes_max = 0;
    SqliteEngineOptions tiny;
    tiny.acknowledge_after = AcknowledgeAfter::os;
    tiny.segment_bytes_max = 2000;
    tiny.row_bytes_max = 200;
    tiny.tail_bytes_max = 1000;
    tiny.apply_chunk_bytes = 1;
    return {sqlite("sqlite", {}), sqlite("sqlite_files", no_tail), sqlite("sqlite_tiny", tiny)};
}

}  // namespace stentor::store
