#include "server/config/text_file.hpp"

#include "base/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace stentor::config {
namespace {

constexpr int kWriterMilliseconds = 2000;  // to open a pipe that one is to read

/// Whether somebody has the pipe open to write, however long that may take, or had, or opens it in
/// time. `begin` gets what has been read to find out.
bool has_writer(int pipe, std::string& begin) {
    pollfd writer{pipe, POLLIN, 0};
    if (::poll(&writer, 1, kWriterMilliseconds) != 0) return true;
    char first = 0;
    const ssize_t got = ::read(pipe, &first, 1);
    if (got > 0) begin.push_back(first);
    return got != 0;  // EAGAIN: it has one
}

std::string current_user() {
    const passwd* user = ::getpwuid(::geteuid());  // commands and start-up: one thread asks
    return user != nullptr ? user->pw_name : "uid " + std::to_string(::geteuid());
}

std::string missing_hint(const std::string& path, std::string_view how_to_make) {
    std::error_code unknown;
    const std::string where = std::filesystem::absolute(path, unknown).string();
    std::string hint = unknown || where == path ? "" : "looked for " + where;
    if (!hint.empty() && !how_to_make.empty()) hint += "; ";
    return hint += how_to_make;
}

std::string hint_for(const std::string& path, int error, std::string_view how_to_make) {
    switch (error) {
        case ENOENT:
            return missing_hint(path, how_to_make);
        case EACCES:
            return "the process runs as " + current_user() + "; let it read the file";
        case EISDIR:
            return "name a file in it";
        case ENOTDIR:
            return "a part of this path is a file, not a directory";
        default:
            return {};
    }
}

ValueError failure(const std::string& path, int error, std::string_view how_to_make = {}) {
    return {.what = "cannot read " + path + ": " + std::generic_category().message(error),
            .hint = hint_for(path, error, how_to_make)};
}

}  // namespace

Result<std::string, ValueError> read_text_file(const std::string& path,
                                               std::size_t bytes_max,
                                               std::string_view how_to_make) {
    using Read = Result<std::string, ValueError>;
    // O_NONBLOCK: opening a pipe nobody writes to must not hang the start.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!file) return failure(path, errno, how_to_make);
    struct stat facts {};
    if (::fstat(file.get(), &facts) != 0) return failure(path, errno);
    if (S_ISDIR(facts.st_mode)) return failure(path, EISDIR);
    std::string text;
    // Regular files and what /dev/stdin or <(...) of a shell can be.
    if (S_ISFIFO(facts.st_mode)) {
        if (!has_writer(file.get(), text)) {
            return ValueError{
                .what = "cannot read " + path + ": it is a pipe and nobody writes to it",
                .hint = "name a file, or start whoever writes first"};
        }
        ::fcntl(file.get(), F_SETFL, 0);
    }
    constexpr std::size_t kStep = 65'536;
    while (true) {
        const std::size_t have = text.size();
        text.resize(have + kStep);
        const ssize_t got = ::read(file.get(), text.data() + have, kStep);
        if (got < 0 && errno == EINTR) {
            text.resize(have);
            continue;
        }
        if (got < 0) return failure(path, errno);
        text.resize(have + static_cast<std::size_t>(got));
        if (got == 0) break;
        if (text.size() > bytes_max) {
            return ValueError{.what = path + " is larger than " + format_size(bytes_max),
                              .hint = "is it the right file?"};
        }
    }
    return Read{boost::system::in_place_value, std::move(text)};
}

}  // namespace stentor::config
