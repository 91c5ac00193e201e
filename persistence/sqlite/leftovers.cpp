#include "persistence/sqlite/leftovers.hpp"

#include "base/log.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/sqlite_error.hpp"
#include "persistence/sqlite/store_files.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace stentor::store {
namespace {

/// The segment that the file is beside, if it is a write-ahead log or its index whose database is
/// not there.
[[nodiscard]] std::optional<SegmentId> segment_left_by(const std::filesystem::path& file) {
    for (const std::string_view suffix : {"-wal", "-shm"}) {
        std::string name = file.filename().string();
        if (!name.ends_with(suffix)) continue;
        name.resize(name.size() - suffix.size());
        std::error_code unknown;
        const bool is_alone =
            !std::filesystem::exists(file.parent_path() / name, unknown) && !unknown;
        if (is_alone) return segment_id(name);
    }
    return std::nullopt;
}

/// Made to find out why SQLite can make no file (sqlite_error.cpp); always empty.
[[nodiscard]] bool is_probe(const std::filesystem::path& file) {
    std::error_code unknown;
    return file.native().ends_with(std::string{".db"} + kProbeSuffix) &&
           std::filesystem::is_regular_file(file, unknown) &&
           std::filesystem::file_size(file, unknown) == 0 && !unknown;
}

}  // namespace

void remove_leftovers(const SqliteEngineOptions& options,
                      Seq applied_through,
                      const std::vector<KnownSegment>& missing) {
    const auto is_missing = [&](SegmentId id) {
        return std::any_of(missing.begin(), missing.end(), [&](const KnownSegment& known) {
            return known.id == id;
        });
    };
    const std::string log = log_directory(options);
    std::vector<std::filesystem::path> found;
    for (const std::string& directory : {options.directory, log}) {
        std::error_code error;
        std::filesystem::directory_iterator files{directory, error};
        for (; !error && files != std::filesystem::directory_iterator{}; files.increment(error)) {
            std::optional<SegmentId> id;
            if (directory == log) id = segment_left_by(files->path());
            const bool is_left = id && id->first <= applied_through && !is_missing(*id);
            if (is_left || is_probe(files->path())) found.push_back(files->path());
        }
    }
    std::error_code error;
    std::size_t removed = 0;
    for (const auto& path : found) removed += std::filesystem::remove(path, error) ? 1 : 0;
    if (removed == 0) return;
    STENTOR_LOG(
        info,
        LogEvent("store_leftovers_removed", {{"directory", options.directory}, {"files", removed}}),
        "files that an earlier process had no time to remove");
}

}  // namespace stentor::store
