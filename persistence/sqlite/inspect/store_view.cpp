#include "persistence/sqlite/inspect/store_view.hpp"

#include "persistence/sqlite/segment.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace stentor::store {

Trouble cannot_open(const std::string& path, const boost::system::error_code& why) {
    std::string hint;
    if (why == StoreErrc::damaged) hint = "restore a backup";
    if (why == StoreErrc::newer_version) hint = "use the version that wrote it, or a later one";
    if (why == StoreErrc::older_version) hint = "serve it once with this version";
    if (why == StoreErrc::io_error) {
        hint = "it must be readable for this user, and its directory writable while a broker runs";
    }
    return {.what = path + ": " + why.message(), .hint = std::move(hint)};
}

void throw_exception_from_error(const Trouble& trouble, const boost::source_location& /*at*/) {
    throw std::runtime_error{trouble.what};
}

Result<StoreView, Trouble> StoreView::open(const std::string& directory, WhileRunning how) {
    std::error_code error;
    StoreView view{directory};
    if (!std::filesystem::is_directory(directory, error)) {
        return Trouble{.what = directory + " is not a directory", .hint = {}};
    }
    if (!std::filesystem::exists(view.state_path(), error)) {
        return Trouble{.what = "no store in " + directory + ": it has no state.db",
                       .hint = "give the directory that node.data_dir names"};
    }
    std::string holder;
    if (auto lock = StoreLock::take_if_free(directory, holder)) {
        view.lock_.emplace(*std::move(lock));
    }
    view.is_running_ = !holder.empty();
    if (view.is_running_ && how == WhileRunning::refused) {
        return Trouble{.what = "process " + holder + " uses the store in " + directory,
                       .hint =
                           "stop it first, or look at a backup: `stentor store backup` works "
                           "while it runs"};
    }
    return view;
}

Result<std::vector<LogFile>, Trouble> StoreView::log_files() const {
    std::vector<LogFile> found;
    std::error_code error;
    std::filesystem::directory_iterator files{log_path(), error};
    for (; !error && files != std::filesystem::directory_iterator{}; files.increment(error)) {
        const auto id = segment_id(files->path().filename().string());
        if (!id) continue;
        found.push_back(
            {.path = files->path().string(), .first = id->first, .generation = id->generation});
    }
    if (error) {
        return Trouble{.what = "cannot list " + log_path() + ": " + error.message(), .hint = {}};
    }
    std::sort(found.begin(), found.end(), [](const LogFile& a, const LogFile& b) {
        return a.first != b.first ? a.first < b.first : a.generation > b.generation;
    });
    return found;
}

Result<StateStore, Trouble> StoreView::state() const {
    auto opened = StateStore::open(state_path(), {}, mode());
    if (!opened) return cannot_open(state_path(), opened.error());
    return *std::move(opened);
}

Result<std::optional<Database>, Trouble> StoreView::segment(const LogFile& file) const {
    auto opened = Database::open(file.path, mode(), segment_format(), {});
    if (opened) return std::optional{*std::move(opened)};
    std::error_code error;
    if (is_running_ && !std::filesystem::exists(file.path, error)) return std::optional<Database>{};
    return cannot_open(file.path, opened.error());
}

Result<void> for_each_stored_row(Database& segment,
                                 Seq from,
                                 const std::function<bool(Seq first, ByteView body)>& visit) {
    if (!segment.has_tables()) return {};
    STENTOR_TRY(Statement select,
                segment.prepare("SELECT first, body FROM log_row WHERE first >= coalesce((SELECT"
                                " max(first) FROM log_row WHERE first <= ?1), 0) ORDER BY first"));
    select.bind(1, from);
    for (;;) {
        STENTOR_TRY(const Statement::Step step, select.step());
        if (step == Statement::Step::done || !visit(select.seq(0), select.blob(1))) return {};
    }
}

}  // namespace stentor::store
