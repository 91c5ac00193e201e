#include "persistence/sqlite/faulty_vfs.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace stentor::store {

struct FaultyVfs::File {
    sqlite3_file base;
    FaultyVfs* vfs;
    Content* content;  // null for files without a name
    sqlite3_file* real;
};

namespace {

FaultyVfs::File& as_file(sqlite3_file* file) { return *reinterpret_cast<FaultyVfs::File*>(file); }
sqlite3_file* real(sqlite3_file* file) { return as_file(file).real; }
FaultyVfs& as_vfs(sqlite3_vfs* vfs) { return *static_cast<FaultyVfs*>(vfs->pAppData); }

const sqlite3_io_methods kMethods{
    .iVersion = 2,
    .xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
    .xRead =
        [](sqlite3_file* f, void* to, int count, sqlite3_int64 at) {
            return real(f)->pMethods->xRead(real(f), to, count, at);
        },
    .xWrite =
        [](sqlite3_file* f, const void* from, int count, sqlite3_int64 at) {
            return as_file(f).vfs->write(as_file(f), from, count, at);
        },
    .xTruncate = [](sqlite3_file* f,
                    sqlite3_int64 size) { return as_file(f).vfs->truncate(as_file(f), size); },
    .xSync = [](sqlite3_file* f, int flags) { return as_file(f).vfs->sync(as_file(f), flags); },
    .xFileSize = [](sqlite3_file* f,
                    sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
    .xLock = [](sqlite3_file* f, int lock) { return real(f)->pMethods->xLock(real(f), lock); },
    .xUnlock = [](sqlite3_file* f, int lock) { return real(f)->pMethods->xUnlock(real(f), lock); },
    .xCheckReservedLock =
        [](sqlite3_file* f, int* out) {
            return real(f)->pMethods->xCheckReservedLock(real(f), out);
        },
    .xFileControl =
        [](sqlite3_file* f, int op, void* argument) {
            return real(f)->pMethods->xFileControl(real(f), op, argument);
        },
    .xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
    // No promise about appends or whole sectors: writes are torn here.
    .xDeviceCharacteristics =
        [](sqlite3_file* f) {
            return as_file(f).vfs->keeps_neighbours() ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
        },
    .xShmMap =
        [](sqlite3_file* f, int region, int size, int extend, volatile void** out) {
            return real(f)->pMethods->xShmMap(real(f), region, size, extend, out);
        },
    .xShmLock =
        [](sqlite3_file* f, int offset, int count, int flags) {
            return real(f)->pMethods->xShmLock(real(f), offset, count, flags);
        },
    .xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
    .xShmUnmap = [](sqlite3_file* f,
                    int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); },
    .xFetch = nullptr,
    .xUnfetch = nullptr};

[[nodiscard]] Bytes read_file(const std::string& path) {
    std::ifstream in{path, std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    return to_owned(as_bytes(text));
}

}  // namespace

FaultyVfs::FaultyVfs(std::uint64_t seed)
    : real_{sqlite3_vfs_find(nullptr)}, vfs_{*real_}, random_{seed} {
    static std::atomic<int> instances{0};
    name_ = "faulty" + std::to_string(++instances);
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.pNext = nullptr;
    vfs_.xOpen = [](sqlite3_vfs* v, const char* path, sqlite3_file* f, int flags, int* out) {
        return as_vfs(v).open(path, &as_file(f), flags, out);
    };
    vfs_.xDelete = [](sqlite3_vfs* v, const char* path, int sync_directory) {
        return as_vfs(v).remove(path, sync_directory);
    };
    vfs_.xAccess = [](sqlite3_vfs* v, const char* path, int flags, int* out) {
        return as_vfs(v).real()->xAccess(as_vfs(v).real(), path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* v, const char* path, int size, char* out) {
        return as_vfs(v).real()->xFullPathname(as_vfs(v).real(), path, size, out);
    };
    sqlite3_vfs_register(&vfs_, 0);
}

FaultyVfs::~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }

std::uint64_t FaultyVfs::operations() const {
    const std::lock_guard lock{mutex_};
    return operations_;
}

void FaultyVfs::cut_power_after(std::uint64_t operations) {
    const std::lock_guard lock{mutex_};
    power_until_ = operations_ + operations;
}

bool FaultyVfs::has_power() const {
    const std::lock_guard lock{mutex_};
    return has_power_;
}

void FaultyVfs::set_space(Space space) {
    const std::lock_guard lock{mutex_};
    space_ = space;
}

void FaultyVfs::fail_next_sync() {
    const std::lock_guard lock{mutex_};
    fails_next_sync_ = true;
}

std::uint64_t FaultyVfs::calls() const {
    const std::lock_guard lock{mutex_};
    return calls_;
}

void FaultyVfs::fail_after(std::uint64_t calls, Fault fault) {
    const std::lock_guard lock{mutex_};
    fails_at_ = calls_ + calls;
    fault_ = fault;
}

bool FaultyVfs::has_failed() const {
    const std::lock_guard lock{mutex_};
    return fails_at_ < calls_;
}

void FaultyVfs::be_healthy() {
    const std::lock_guard lock{mutex_};
    space_ = Space::enough;
    fails_next_sync_ = false;
    if (fails_at_ >= calls_) fails_at_ = kNoCall;
}

int FaultyVfs::fault_of(Call call) {
    if (calls_++ != fails_at_) return SQLITE_OK;
    if (fault_ == Fault::disk_full) {
        space_ = Space::none_for_names;
        return SQLITE_OK;
    }
    errno = fault_ == Fault::no_room ? ENOSPC : EIO;
    switch (call) {
        case Call::write:
            return fault_ == Fault::no_room ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        case Call::truncate:
            return SQLITE_IOERR_TRUNCATE;
        case Call::sync:
            return SQLITE_IOERR_FSYNC;
        case Call::open:
            return SQLITE_CANTOPEN;
        case Call::remove:
            break;
    }
    return SQLITE_IOERR_DELETE;
}

bool FaultyVfs::happens() {
    if (++operations_ > power_until_ && has_power_) {
        look_for_removals();  // those that come now do not reach the disk
        has_power_ = false;
    }
    return has_power_;
}

void FaultyVfs::apply(const Operation& operation, Bytes& image) {
    if (operation.truncates) {
        image.resize(operation.offset);
        return;
    }
    const std::size_t end = operation.offset + operation.bytes.size();
    if (image.size() < end) image.resize(end);
    std::copy(operation.bytes.begin(),
              operation.bytes.end(),
              image.begin() + static_cast<std::ptrdiff_t>(operation.offset));
}

/// What was synced, and of each later operation all, nothing or the first sectors.
Bytes FaultyVfs::what_is_left(const Content& content) {
    constexpr std::size_t kSectorBytes = 512;
    Bytes image = content.synced;
    for (Operation operation : content.since) {
        if (random_.chance(1, 3)) continue;
        if (random_.chance(1, 3)) {
            const std::size_t sectors = operation.bytes.size() / kSectorBytes;
            operation.bytes.resize(random_.below(sectors + 1) * kSectorBytes);
        }
        apply(operation, image);
    }
    return image;
}

FaultyVfs::Content* FaultyVfs::add_content() { return &contents_.emplace_back(); }

/// Not every file is removed through SQLite.
void FaultyVfs::look_for_removals() {
    for (auto& [path, entry] : entries_) {
        if (!std::filesystem::exists(path)) entry.now = nullptr;
    }
}

void FaultyVfs::sync_directory(const std::string& path) {
    look_for_removals();
    const std::filesystem::path directory = std::filesystem::path{path}.parent_path();
    for (auto& [name, entry] : entries_) {
        if (std::filesystem::path{name}.parent_path() == directory) entry.durable = entry.now;
    }
}

void FaultyVfs::power_up() {
    const std::lock_guard lock{mutex_};
    if (has_power_) look_for_removals();
    for (auto& [path, entry] : entries_) {
        const Content* left = random_.chance(1, 2) ? entry.now : entry.durable;
        std::filesystem::remove(path + "-shm");
        std::filesystem::remove(path);
        if (left == nullptr) continue;
        std::ofstream out{path, std::ios::binary | std::ios::trunc};
        const Bytes image = what_is_left(*left);
        const std::string_view text = as_text(image);
        out.write(text.data(), static_cast<std::streamsize>(text.size()));
    }
    entries_.clear();
    contents_.clear();
    has_power_ = true;
    power_until_ = std::numeric_limits<std::uint64_t>::max();
}

void FaultyVfs::restart_process() {
    const std::lock_guard lock{mutex_};
    look_for_removals();
    for (const auto& [path, entry] : entries_) std::filesystem::remove(path + "-shm");
    has_power_ = true;
    power_until_ = std::numeric_limits<std::uint64_t>::max();
}

int FaultyVfs::open(const char* path, File* file, int flags, int* out_flags) {
    file->base.pMethods = nullptr;
    file->vfs = this;
    file->content = nullptr;
    file->real = reinterpret_cast<sqlite3_file*>(file + 1);
    const std::lock_guard lock{mutex_};
    if (!has_power_) return SQLITE_IOERR;
    const bool is_new = path != nullptr && !std::filesystem::exists(path);
    const bool is_made = is_new && (flags & SQLITE_OPEN_CREATE) != 0;
    if (is_made && !happens()) return SQLITE_IOERR;
    if (const int fault = fault_of(Call::open); fault != SQLITE_OK) return fault;
    if (is_made && space_ == Space::none_for_names) {
        errno = ENOSPC;
        return SQLITE_CANTOPEN;
    }
    const int code = real_->xOpen(real_, path, file->real, flags, out_flags);
    if (code != SQLITE_OK) return code;
    file->base.pMethods = &kMethods;
    if (path == nullptr) return SQLITE_OK;
    const auto [place, is_unknown] = entries_.try_emplace(path);
    Entry& entry = place->second;
    if (is_new) {
        entry.now = add_content();
        constexpr int kJournals =
            SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
        if ((flags & kJournals) != 0) entry.now->syncs_directory = path;
    } else if (is_unknown) {
        entry.now = entry.durable = add_content();
        entry.now->synced = read_file(path);
    }
    file->content = entry.now;
    return SQLITE_OK;
}

int FaultyVfs::write(File& file, const void* bytes, int count, sqlite3_int64 offset) {
    const std::lock_guard lock{mutex_};
    if (!happens()) return SQLITE_IOERR_WRITE;
    if (const int fault = fault_of(Call::write); fault != SQLITE_OK) {
        const auto part = static_cast<int>(random_.below(static_cast<std::uint64_t>(count)));
        if (part != 0) (void)write_through(file, bytes, part, offset);
        return fault;
    }
    if (space_ != Space::enough) return SQLITE_FULL;
    return write_through(file, bytes, count, offset);
}

int FaultyVfs::write_through(File& file, const void* bytes, int count, sqlite3_int64 offset) {
    if (file.content != nullptr) {
        const auto* from = static_cast<const std::byte*>(bytes);
        file.content->since.push_back({.offset = static_cast<std::size_t>(offset),
                                       .bytes = Bytes(from, from + count),
                                       .truncates = false});
    }
    return file.real->pMethods->xWrite(file.real, bytes, count, offset);
}

int FaultyVfs::truncate(File& file, sqlite3_int64 size) {
    const std::lock_guard lock{mutex_};
    if (!happens()) return SQLITE_IOERR_TRUNCATE;
    if (const int fault = fault_of(Call::truncate); fault != SQLITE_OK) return fault;
    if (file.content != nullptr) {
        file.content->since.push_back(
            {.offset = static_cast<std::size_t>(size), .bytes = {}, .truncates = true});
    }
    return file.real->pMethods->xTruncate(file.real, size);
}

/// The real disk is not asked: what counts as synced is decided here.
int FaultyVfs::sync(File& file, int /*flags*/) {
    const std::lock_guard lock{mutex_};
    if (!happens() || std::exchange(fails_next_sync_, false)) return SQLITE_IOERR_FSYNC;
    if (const int fault = fault_of(Call::sync); fault != SQLITE_OK) {
        if (file.content != nullptr) file.content->since.clear();
        return fault;
    }
    if (file.content == nullptr) return SQLITE_OK;
    for (const Operation& operation : file.content->since) apply(operation, file.content->synced);
    file.content->since.clear();
    const std::string made = std::exchange(file.content->syncs_directory, {});
    if (!made.empty()) sync_directory(made);
    return SQLITE_OK;
}

int FaultyVfs::remove(const char* path, int syncs_directory) {
    const std::lock_guard lock{mutex_};
    if (!happens()) return SQLITE_IOERR_DELETE;
    if (const int fault = fault_of(Call::remove); fault != SQLITE_OK) return fault;
    const int code = real_->xDelete(real_, path, 0);
    look_for_removals();
    if (syncs_directory != 0) sync_directory(path);
    return code;
}

}  // namespace stentor::store
