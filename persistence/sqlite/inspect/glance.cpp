#include "persistence/sqlite/inspect/glance.hpp"

#include "persistence/sqlite/database.hpp"
#include "persistence/sqlite/segment.hpp"

#include <filesystem>
#include <system_error>
#include <vector>

namespace stentor::store {
namespace {

/// Fails unless the file can be opened, or could be after a migration.
[[nodiscard]] Result<void, Trouble> look(const StoreView& view,
                                         const std::string& path,
                                         const FileFormat& format,
                                         Glance& glance) {
    const auto opened = Database::open(path, view.mode(), format, {});
    if (opened) return {};
    if (opened.error() == StoreErrc::older_version) {
        glance.is_older = true;
        return {};
    }
    std::error_code error;
    if (view.is_running() && !std::filesystem::exists(path, error)) return {};  // meanwhile
    return cannot_open(path, opened.error());
}

}  // namespace

Result<Glance, Trouble> glance_at(const std::string& directory) {
    Glance glance;
    std::error_code error;
    if (!std::filesystem::exists(directory + "/state.db", error) && !error) return glance;
    STENTOR_TRY(const StoreView view, StoreView::open(directory, WhileRunning::allowed));
    glance.is_there = true;
    glance.is_running = view.is_running();
    STENTOR_TRY_VOID(look(view, view.state_path(), state_format(), glance));
    STENTOR_TRY(const std::vector<LogFile> files, view.log_files());
    for (const LogFile& file : files) {
        STENTOR_TRY_VOID(look(view, file.path, segment_format(), glance));
    }
    glance.segments = files.size();
    return glance;
}

}  // namespace stentor::store
