#include "server/app/atomic_file.hpp"

#include "base/descriptor.hpp"
#include "base/sync_directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>

namespace stentor::app {
namespace {

std::string failure(std::string_view doing, const std::string& path) {
    return "cannot " + std::string{doing} + ' ' + path + ": " +
           std::generic_category().message(errno);
}

bool write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const ssize_t written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace

Result<void, std::string> replace_file(const std::string& path, std::string_view content) {
    std::error_code not_there;
    std::filesystem::path target = std::filesystem::canonical(path, not_there);
    if (not_there) target = path;
    std::string temporary = target.string() + ".XXXXXX";
    Descriptor file{::mkostemp(temporary.data(), O_CLOEXEC)};  // mode 0600
    if (!file) return failure("write beside", path);
    struct stat before {};
    const bool existed = ::stat(target.c_str(), &before) == 0;
    bool good = write_all(file.get(), content);
    if (good && existed) {
        constexpr mode_t kOwnerAndGroup = 0660;
        // Only root can give files away; for others the owner is the same anyway.
        if (::fchown(file.get(), before.st_uid, before.st_gid) == 0) {
            good = ::fchmod(file.get(), (before.st_mode & kOwnerAndGroup) | 0600U) == 0;
        }
    }
    good = good && ::fsync(file.get()) == 0;
    std::string error = good ? "" : failure("write", temporary);
    file.reset();
    if (good && ::rename(temporary.c_str(), target.c_str()) != 0) error = failure("replace", path);
    if (!error.empty()) {
        ::unlink(temporary.c_str());
        return error;
    }
    // The rename outlives a power cut only once its directory is on disk. Some file systems cannot
    // sync one; the file is replaced all the same.
    (void)sync_directory(target.has_parent_path() ? target.parent_path() : ".");
    return {};
}

}  // namespace stentor::app
