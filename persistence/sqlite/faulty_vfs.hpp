#pragma once
// A SQLite VFS for tests: real files whose disk can be full, can fail a sync, and can lose power.
//
// It remembers what every file held at its last sync and what was written since, and which files a
// directory had at its last sync. At a chosen operation the power goes: from then on nothing
// succeeds, and power_up() gives each file what was synced and a random part of the rest, some of
// it torn; a file that was made since its directory was synced may be gone, one that was removed
// may be back. Directories are synced where SQLite does it only: with the first sync of a new
// journal, and with removals that ask for it. Any thread may use the files.

#include "base/bytes.hpp"
#include "base/random.hpp"

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace stentor::store {

class FaultyVfs {
  public:
    /// Registers itself with SQLite under name() until destroyed; all files must be closed by then.
    explicit FaultyVfs(std::uint64_t seed);
    ~FaultyVfs();
    FaultyVfs(const FaultyVfs&) = delete;
    FaultyVfs& operator=(const FaultyVfs&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Says of its files what SQLite believes of the system's: a write that is cut off harms
    /// nothing beside it. Otherwise commits are padded behind their end, and one that finds no room
    /// for that is there all the same after a power cut. Before a file is opened.
    void promise_safe_neighbours() noexcept { keeps_neighbours_ = true; }

    /// Writes, truncations, removals, syncs and new files so far.
    [[nodiscard]] std::uint64_t operations() const;
    /// The power goes when so many more of them have been done.
    void cut_power_after(std::uint64_t operations);
    [[nodiscard]] bool has_power() const;
    /// With all files closed: what is left of them is there again.
    void power_up();
    /// Instead, as if only the process had died at that moment: the system still has all that was
    /// written, synced or not.
    void restart_process();

    enum class Space : std::uint8_t {
        enough,
        none,            // nothing is written; files can be made
        none_for_names,  // nor can they be made
    };
    void set_space(Space space);
    /// The next sync fails.
    void fail_next_sync();

    enum class Fault : std::uint8_t {
        io_error,  // of this one call; of what it writes, a part may be there
        no_room,   // the same, and the system says that it is for lack of room
        disk_full  // from this call on: Space::none_for_names
    };
    /// Operations, and files that were opened, so far.
    [[nodiscard]] std::uint64_t calls() const;
    /// The fault comes when so many more calls have been answered. What a failed sync was to sync
    /// is never synced, though later ones succeed, unless it is written again: so do systems.
    void fail_after(std::uint64_t calls, Fault fault);
    /// Whether it has come.
    [[nodiscard]] bool has_failed() const;
    /// From here on there is space, and nothing fails that has not failed yet.
    void be_healthy();

    // --- for the C functions behind it ---

    struct File;  // what SQLite holds
    [[nodiscard]] int open(const char* path, File* file, int flags, int* out_flags);
    [[nodiscard]] int write(File& file, const void* bytes, int count, sqlite3_int64 offset);
    [[nodiscard]] int truncate(File& file, sqlite3_int64 size);
    [[nodiscard]] int sync(File& file, int flags);
    [[nodiscard]] int remove(const char* path, int sync_directory);
    [[nodiscard]] sqlite3_vfs* real() const noexcept { return real_; }
    [[nodiscard]] bool keeps_neighbours() const noexcept { return keeps_neighbours_; }

  private:
    static constexpr std::uint64_t kNoCall = std::numeric_limits<std::uint64_t>::max();

    struct Operation {
        std::size_t offset = 0;
        Bytes bytes;  // written there
        bool truncates = false;
    };
    struct Content {
        Bytes synced;
        std::vector<Operation> since;
        std::string syncs_directory;  // the next sync does
    };
    /// A name: what it stands for, and what it stands for after a power cut unless it stands for
    /// that; null: there is no such file.
    struct Entry {
        Content* now = nullptr;
        Content* durable = nullptr;
    };
    enum class Call : std::uint8_t { write, truncate, sync, open, remove };
    /// Counts one more; false: it does not happen any more.
    [[nodiscard]] bool happens();
    /// Counts one more of any kind; SQLITE_OK, or what it fails with.
    [[nodiscard]] int fault_of(Call call);
    [[nodiscard]] int write_through(File& file, const void* bytes, int count, sqlite3_int64 offset);
    static void apply(const Operation& operation, Bytes& image);
    [[nodiscard]] Bytes what_is_left(const Content& content);
    [[nodiscard]] Content* add_content();
    void look_for_removals();
    void sync_directory(const std::string& path);

    sqlite3_vfs* real_;
    sqlite3_vfs vfs_;
    std::string name_;
    bool keeps_neighbours_ = false;

    mutable std::mutex mutex_;  // guards what follows
    Random random_;
    std::map<std::string, Entry> entries_;  // by path
    std::deque<Content> contents_;          // until power_up(), of removed files too
    std::uint64_t operations_ = 0;
    std::uint64_t power_until_ = std::numeric_limits<std::uint64_t>::max();
    bool has_power_ = true;
    Space space_ = Space::enough;
    bool fails_next_sync_ = false;
    std::uint64_t calls_ = 0;
    std::uint64_t fails_at_ = kNoCall;
    Fault fault_ = Fault::io_error;
};

}  // namespace stentor::store
