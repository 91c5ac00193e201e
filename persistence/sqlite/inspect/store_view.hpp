#pragma once
// A store's directory as somebody looks at it who is not the broker. Nothing in it is changed.
// One thread.

#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/sqlite/database.hpp"
#include "persistence/sqlite/log_row.hpp"
#include "persistence/sqlite/state_store.hpp"
#include "persistence/sqlite/store_files.hpp"

#include <boost/assert/source_location.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stentor::store {

/// Why something cannot be done, for people.
struct Trouble {
    std::string what;
    std::string hint;  // what to do about it; may be empty
};
/// What value() of a failed Result does (see base/result.hpp).
[[noreturn]] void throw_exception_from_error(const Trouble& trouble,
                                             const boost::source_location& at);

/// Of a file of a store that Database::open() has refused.
[[nodiscard]] Trouble cannot_open(const std::string& path, const boost::system::error_code& why);

struct LogFile {
    std::string path;
    Seq first;
    std::uint32_t generation = 0;
};

enum class WhileRunning : std::uint8_t { refused, allowed };

class StoreView {
  public:
    /// Keeps a broker from starting on a store that none has open; one that is running is refused,
    /// by its process, or looked at as it runs.
    [[nodiscard]] static Result<StoreView, Trouble> open(const std::string& directory,
                                                         WhileRunning how);

    [[nodiscard]] bool is_running() const noexcept { return is_running_; }
    /// How its databases are to be opened.
    [[nodiscard]] Database::Open mode() const noexcept {
        return is_running_ ? Database::Open::read_only : Database::Open::at_rest;
    }
    [[nodiscard]] const std::string& directory() const noexcept { return directory_; }
    [[nodiscard]] std::string state_path() const { return directory_ + "/state.db"; }
    [[nodiscard]] std::string log_path() const { return directory_ + "/log"; }

    /// In the order recovery reads them.
    [[nodiscard]] Result<std::vector<LogFile>, Trouble> log_files() const;
    [[nodiscard]] Result<StateStore, Trouble> state() const;
    /// Nothing when the file has been removed meanwhile, which a running broker does.
    [[nodiscard]] Result<std::optional<Database>, Trouble> segment(const LogFile& file) const;

  private:
    explicit StoreView(std::string directory) : directory_{std::move(directory)} {}

    std::string directory_;
    std::optional<StoreLock> lock_;
    bool is_running_ = false;
};

/// Calls `visit(first, body)` for the rows of a segment from the one that may hold `from`, until it
/// returns false. Fails when the file cannot be read.
[[nodiscard]] Result<void> for_each_stored_row(
    Database& segment, Seq from, const std::function<bool(Seq first, ByteView body)>& visit);

}  // namespace stentor::store
