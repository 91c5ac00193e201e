#include "persistence/sqlite/inspect/backup.hpp"

#include "base/sync_directory.hpp"
#include "persistence/sqlite/segment.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

namespace fs = std::filesystem;

// Each try opens the whole log before it copies state.db; only a broker that rolls and removes a
// segment in that time makes another one necessary.
constexpr int kTries = 20;

[[nodiscard]] Result<void, Trouble> on_disk(const std::string& directory) {
    const auto synced = sync_directory(directory);
    if (synced) return {};
    return Trouble{.what = "cannot sync " + directory + ": " + synced.error().message(),
                   .hint = {}};
}

/// The directory that is filled; removed unless it was finished.
class Partial {
  public:
    explicit Partial(const std::string& destination)
        : destination_{destination}, path_{destination + ".partial"} {}
    Partial(const Partial&) = delete;
    Partial& operator=(const Partial&) = delete;
    ~Partial() {
        std::error_code error;
        if (is_ours_) fs::remove_all(path_, error);
    }

    [[nodiscard]] Result<void, Trouble> begin() {
        std::error_code error;
        if (fs::exists(destination_, error) &&
            !(fs::is_directory(destination_, error) && fs::is_empty(destination_, error))) {
            return Trouble{.what = destination_ + " is there already",
                           .hint = "give a directory that does not exist or is empty"};
        }
        if (!fs::create_directory(path_, error)) {
            return Trouble{.what = "cannot make " + path_ + ": " +
                                   (error ? error.message() : "it is there already"),
                           .hint = error ? ""
                                         : "another backup is under way, or was killed; then "
                                           "remove it"};
        }
        is_ours_ = true;
        fs::permissions(path_, fs::perms::owner_all, error);
        fs::create_directory(path_ + "/log", error);
        if (error) return Trouble{.what = path_ + ": " + error.message(), .hint = {}};
        return {};
    }

    [[nodiscard]] Result<void, Trouble> finish() {
        STENTOR_TRY_VOID(on_disk(path_ + "/log"));
        STENTOR_TRY_VOID(on_disk(path_));
        std::error_code error;
        fs::rename(path_, destination_, error);
        if (error) {
            return Trouble{.what = "cannot rename " + path_ + ": " + error.message(), .hint = {}};
        }
        is_ours_ = false;
        const std::string parent = fs::absolute(destination_, error).parent_path().string();
        return on_disk(parent);
    }

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    const std::string destination_;
    const std::string path_;
    bool is_ours_ = false;
};

class Backup {
  public:
    Backup(const StoreView& view, std::string to) : view_{view}, to_{std::move(to)} {}

    [[nodiscard]] Result<BackupReport, Trouble> run() {
        for (int tries = 0; !is_complete_; ++tries) {
            if (tries == kTries) {
                return Trouble{.what = "the log changes faster than it can be opened",
                               .hint = "try again when the broker has less to do"};
            }
            STENTOR_TRY_VOID(attempt());
        }
        for (auto& [file, database] : log_) {
            // Made meanwhile, or never: see Database::open().
            if (!database.has_tables()) {
                STENTOR_TRY(std::optional<Database> now, view_.segment(file));
                if (now && !now->has_tables()) continue;
                if (now) database = *std::move(now);  // removed: what is open still has it
            }
            const std::string name = fs::path{file.path}.filename().string();
            STENTOR_TRY_VOID(copy(database, file.path, to_ + "/log/" + name));
            ++report_.segments;
        }
        STENTOR_TRY_VOID(mark());
        return report_;
    }

  private:
    [[nodiscard]] Result<void, Trouble> copy(Database& from,
                                             const std::string& name,
                                             const std::string& to) {
        if (const auto copied = from.copy_to(to); !copied) {
            const bool is_full = copied.error() == StoreErrc::store_full ||
                                 copied.error() == StoreErrc::full_in_doubt;
            return Trouble{
                .what = "cannot copy " + name + " to " + to + ": " + copied.error().message(),
                .hint = is_full ? "there is no room at the destination"
                                : "`stentor store check` says whether the store is sound"};
        }
        std::error_code error;
        report_.bytes += fs::file_size(to, error);
        return {};
    }

    /// Opens the log, copies state.db, opens what has been added to the log meanwhile.
    [[nodiscard]] Result<void, Trouble> attempt() {
        log_.clear();
        opened_through_ = kNoSeq;
        STENTOR_TRY(const bool is_open, open_log());
        if (!is_open) return {};
        std::error_code error;
        fs::remove(to_ + "/state.db", error);
        auto state = Database::open(view_.state_path(), view_.mode(), state_format(), {});
        if (!state) {
            return Trouble{.what = view_.state_path() + ": " + state.error().message(), .hint = {}};
        }
        report_.bytes = 0;
        STENTOR_TRY_VOID(copy(*state, view_.state_path(), to_ + "/state.db"));
        STENTOR_TRY(is_complete_, open_log());
        // One that was made and removed again in between is missing only this time.
        STENTOR_TRY(auto unanswered, unanswered_names());
        is_complete_ = is_complete_ && unanswered == missing_;
        missing_ = std::move(unanswered);
        return {};
    }

    [[nodiscard]] bool has_copy_from(Seq first) const {
        return std::any_of(log_.begin(), log_.end(), [first](const auto& each) {
            return each.first.first == first;
        });
    }

    /// What the copy of state.db names and the log has neither in this form nor in an earlier one.
    [[nodiscard]] Result<std::vector<Seq>, Trouble> unanswered_names() const {
        const std::string path = to_ + "/state.db";
        std::vector<Seq> unanswered;
        const auto read = [&]() -> Result<void> {
            STENTOR_TRY(Database copy,
                        Database::open(path, Database::Open::at_rest, state_format(), {}));
            STENTOR_TRY(Statement names, copy.prepare("SELECT first FROM segment ORDER BY first"));
            for (;;) {
                STENTOR_TRY(const Statement::Step step, names.step());
                if (step == Statement::Step::done) return {};
                if (!has_copy_from(names.seq(0))) unanswered.push_back(names.seq(0));
            }
        }();
        if (read) return unanswered;
        return Trouble{.what = "cannot read " + path + ": " + read.error().message(), .hint = {}};
    }

    /// Opens what follows the files that are open already, whose rewritten forms are not for us.
    /// False if one was removed before it could be opened, perhaps into a rewritten one.
    [[nodiscard]] Result<bool, Trouble> open_log() {
        STENTOR_TRY(const std::vector<LogFile> files, view_.log_files());
        const Seq after = opened_through_;
        for (const LogFile& file : files) {
            if (file.first <= after) continue;
            STENTOR_TRY(std::optional<Database> database, view_.segment(file));
            if (!database) return false;
            // A first look opens the write-ahead log as well, which then stays with us.
            if (!database->integer("PRAGMA schema_version") && database->has_tables()) {
                return Trouble{.what = "cannot read " + file.path, .hint = {}};
            }
            log_.emplace_back(file, *std::move(database));
        }
        if (!files.empty()) opened_through_ = std::max(opened_through_, files.back().first);
        return true;
    }

    /// Those that the copy has, not what was written from them meanwhile; and those that were
    /// missing, of which the next start is to say so.
    [[nodiscard]] std::vector<KnownSegment> names_of_copies(const StateStore& state) const {
        std::vector<KnownSegment> names = state.segments();
        std::erase_if(names, [&](const KnownSegment& segment) {
            const bool is_copied = std::any_of(log_.begin(), log_.end(), [&](const auto& each) {
                return each.first.first == segment.id.first &&
                       each.first.generation == segment.id.generation;
            });
            return !is_copied && has_copy_from(segment.id.first);
        });
        return names;
    }

    /// The next start finds that this is a copy.
    [[nodiscard]] Result<void, Trouble> mark() {
        const auto marked = [&]() -> Result<void> {
            STENTOR_TRY(StateStore state,
                        StateStore::open(to_ + "/state.db", {}, Database::Open::existing));
            StateMeta meta = state.meta();
            meta.run_state = RunState::restored;
            state.know_segments(names_of_copies(state));
            STENTOR_TRY_VOID(state.commit(meta));
            report_.applied_through = meta.applied_through;
            return state.checkpoint();
        }();
        if (marked) return {};
        return Trouble{.what = "cannot write " + to_ + "/state.db: " + marked.error().message(),
                       .hint = {}};
    }

    const StoreView& view_;
    const std::string to_;
    std::vector<std::pair<LogFile, Database>> log_;
    Seq opened_through_;
    std::vector<Seq> missing_;  // first positions, as of the last try
    bool is_complete_ = false;
    BackupReport report_;
};

}  // namespace

Result<BackupReport, Trouble> back_up(const std::string& directory,
                                      const std::string& destination) {
    STENTOR_TRY(const StoreView view, StoreView::open(directory, WhileRunning::allowed));
    Partial partial{destination};
    STENTOR_TRY_VOID(partial.begin());
    STENTOR_TRY(const BackupReport report, Backup(view, partial.path()).run());
    STENTOR_TRY_VOID(partial.finish());
    return report;
}

}  // namespace stentor::store
