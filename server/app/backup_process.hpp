#pragma once
// Backups that the HTTP API asks for: `stentor store backup` as a process of its own. In this one a
// second look at the store's files would be a danger: closing a file drops the locks that SQLite
// holds on it for the broker (docs/operations.md).
// The HTTP server's thread. One backup at a time; what it says is bounded to kOutputBytesMax.

#include "server/admin/node_report.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace stentor::app {

class BackupProcess {
  public:
    /// `folder` is where backups go; empty: nowhere. `data_dir` is a directory.
    BackupProcess(std::string data_dir, std::string folder)
        : data_dir_{std::move(data_dir)}, folder_{std::move(folder)} {}

    /// `name` is a name without a path. Waits for the end of the process, however long it takes.
    [[nodiscard]] boost::asio::awaitable<admin::BackupReport> back_up(std::string name);

    static constexpr std::size_t kOutputBytesMax = std::size_t{64} * 1024;

  private:
    [[nodiscard]] boost::asio::awaitable<admin::BackupReport> run(std::string destination) const;

    const std::string data_dir_;
    const std::string folder_;
    bool under_way_ = false;
};

}  // namespace stentor::app
