#include "server/app/store_problem.hpp"

#include "persistence/store_error.hpp"

#include <filesystem>
#include <system_error>

namespace stentor::app {
namespace {

std::string way_out(const std::string& directory, const boost::system::error_code& why) {
    using store::StoreErrc;
    if (why == StoreErrc::damaged) {
        return "`stentor store check " + directory +
               "` says what is damaged; keep the directory and restore a backup ("
               "docs/operations.md)";
    }
    if (why == StoreErrc::newer_version) {
        return "run the version that wrote it or a later one, or restore a backup made before it";
    }
    if (why == StoreErrc::in_use) {
        return "stop the other one, or give this one a directory of its own: --data DIR";
    }
    if (why == StoreErrc::store_full || why == StoreErrc::full_in_doubt) {
        return "make room on the disk";
    }
    if (why == StoreErrc::disk_error) {
        return "the line before names the file, the system's log (dmesg) says more";
    }
    if (why == StoreErrc::no_descriptors) return "let the process open more files (ulimit -n)";
    std::error_code unknown;
    if (!std::filesystem::is_directory(directory, unknown)) {
        return "it cannot be made there: give a directory that this user can make, --data DIR or "
               "node.data_dir";
    }
    return "let this user write to the directory, or give another one with --data DIR; the line "
           "before says more";
}

}  // namespace

Problem store_problem(const std::string& directory, const boost::system::error_code& why) {
    std::error_code unknown;
    const std::filesystem::path absolute = std::filesystem::absolute(directory, unknown);
    const std::string where = unknown ? directory : absolute.lexically_normal().string();
    const bool lacks_room = why == store::StoreErrc::store_full;
    const std::string reason = lacks_room ? "the disk is full" : why.message();
    return {.what = "cannot open the store in " + where + ": " + reason,
            .hint = way_out(where, why)};
}

}  // namespace stentor::app
