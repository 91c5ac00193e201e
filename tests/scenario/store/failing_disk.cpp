// Preloaded into the broker by tests: calls that change files below a directory fail when asked to.
//
//     LD_PRELOAD=failing_disk.so FAILING_DISK_UNDER=/dir FAILING_DISK_CONTROL=/file stentor serve
//
// The control file holds six 32-bit integers in the machine's order: how many of the next syncs,
// writes (truncations among them) and opens for writing fail; negative: all of them. From which
// write or new file on, counted from 1, the disk is full; 0: never. What those that fail say
// (errno). And how many syncs succeed before one fails.
// Any thread.

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/mman.h>

namespace {

enum class Kind : unsigned { syncs, writes, opens };
using Control = std::array<std::atomic<int>, 6>;
constexpr std::size_t kFullFrom = 3;
constexpr std::size_t kError = 4;
constexpr std::size_t kSyncsBefore = 5;

// Set before main; calls that come earlier are let through.
Control* control = nullptr;
std::string_view under;

template <class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

[[gnu::constructor]] void begin() {
    const char* path = std::getenv("FAILING_DISK_CONTROL");
    const char* directory = std::getenv("FAILING_DISK_UNDER");
    if (path == nullptr || directory == nullptr) return;
    const int descriptor = next<int(const char*, int, ...)>("open")(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) std::abort();
    void* mapped =
        ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) std::abort();
    ::close(descriptor);
    under = directory;
    control = static_cast<Control*>(mapped);
}

bool is_asked_for(Kind kind) {
    return control != nullptr && (*control)[static_cast<unsigned>(kind)].load() != 0;
}

/// Whether there was one left.
bool takes_one(std::atomic<int>& count) {
    int left = count.load();
    while (left > 0) {
        if (count.compare_exchange_weak(left, left - 1)) break;
    }
    return left != 0;
}

bool fails(Kind kind) {
    if (kind == Kind::syncs && takes_one((*control)[kSyncsBefore])) return false;
    if (!takes_one((*control)[static_cast<unsigned>(kind)])) return false;
    errno = (*control)[kError].load();
    return true;
}

bool may_be_full() { return control != nullptr && (*control)[kFullFrom].load() != 0; }

/// Counts one that needs room.
bool is_full() {
    std::atomic<int>& from = (*control)[kFullFrom];
    int left = from.load();
    while (left > 1) {
        if (from.compare_exchange_weak(left, left - 1)) break;
    }
    if (left == 1) errno = ENOSPC;
    return left == 1;
}

bool is_below(int descriptor) {
    std::array<char, 4096> path{};
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const auto size = ::readlink(link.c_str(), path.data(), path.size());
    if (size < 0) return false;
    return std::string_view{path.data(), static_cast<std::size_t>(size)}.starts_with(under);
}

bool fails(Kind kind, int descriptor) {
    return is_asked_for(kind) && is_below(descriptor) && fails(kind);
}

bool finds_no_room(int descriptor) { return may_be_full() && is_below(descriptor) && is_full(); }

int open_as(const char* name, const char* path, int flags, mode_t mode) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (writes && is_asked_for(Kind::opens) && std::string_view{path}.starts_with(under) &&
        fails(Kind::opens)) {
        return -1;
    }
    if ((flags & O_CREAT) != 0 && may_be_full() && std::string_view{path}.starts_with(under) &&
        ::access(path, F_OK) != 0 && is_full()) {
        return -1;
    }
    return next<int(const char*, int, ...)>(name)(path, flags, mode);
}

mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
}

}  // namespace

extern "C" {

int fsync(int descriptor) {
    return fails(Kind::syncs, descriptor) ? -1 : next<int(int)>("fsync")(descriptor);
}

int fdatasync(int descriptor) {
    return fails(Kind::syncs, descriptor) ? -1 : next<int(int)>("fdatasync")(descriptor);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t at) {
    if (fails(Kind::writes, descriptor) || finds_no_room(descriptor)) return -1;
    return next<ssize_t(int, const void*, size_t, off_t)>("pwrite")(descriptor, bytes, size, at);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t at) {
    if (fails(Kind::writes, descriptor) || finds_no_room(descriptor)) return -1;
    return next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(
        descriptor, bytes, size, at);
}

int ftruncate(int descriptor, off_t size) noexcept {
    if (fails(Kind::writes, descriptor)) return -1;
    return next<int(int, off_t)>("ftruncate")(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) noexcept {
    if (fails(Kind::writes, descriptor)) return -1;
    return next<int(int, off64_t)>("ftruncate64")(descriptor, size);
}

int open(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_as("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_as("open64", path, flags, mode);
}

}  // extern "C"
