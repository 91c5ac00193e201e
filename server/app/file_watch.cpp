#include "server/app/file_watch.hpp"

#include <sys/stat.h>

namespace stentor::app {
namespace {

/// Changes when the file does; 0 if it is not there.
std::int64_t stamp_of(const std::string& file) {
    struct stat facts {};
    if (::stat(file.c_str(), &facts) != 0) return 0;
    return facts.st_mtim.tv_sec * 1'000'000'007 + facts.st_mtim.tv_nsec +
           static_cast<std::int64_t>(facts.st_ino) * 31 + facts.st_size;
}

}  // namespace

bool FileWatch::changed(std::vector<std::string> files) {
    std::vector<Stamp> now;
    for (std::string& file : files) {
        const std::int64_t stamp = stamp_of(file);
        now.emplace_back(std::move(file), stamp);
    }
    const bool differs = std::exchange(looked_, true) && now != seen_;
    seen_ = std::move(now);
    return differs;
}

void FileWatch::forget() {
    looked_ = true;
    seen_ = {{{}, -1}};
}

}  // namespace stentor::app
