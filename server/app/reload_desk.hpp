#pragma once
// Wishes to reload, on their way from the HTTP API to the main thread, which alone reloads.
// ask() is for any thread, everything else for the main thread. Bound: as many wishes as there are
// HTTP connections.

#include "base/descriptor.hpp"
#include "server/admin/node_report.hpp"

#include <functional>
#include <mutex>
#include <vector>

namespace stentor::app {

class ReloadDesk {
  public:
    using Answer = std::function<void(admin::ReloadReport)>;

    ReloadDesk();

    /// `answer` is called once, on the main thread, or here at once when nobody reloads any more.
    void ask(Answer answer);

    /// Readable (poll) while somebody waits.
    [[nodiscard]] int descriptor() const noexcept { return wake_.get(); }
    /// Calls `reload` once, if anybody has asked, and tells all who had before it began.
    void serve(const std::function<admin::ReloadReport()>& reload);
    /// Nobody reloads any more: all who wait, and whoever asks from here on, are told so.
    void close();

  private:
    [[nodiscard]] std::vector<Answer> take_waiting();

    Descriptor wake_;
    std::mutex mutex_;  // guards what follows
    std::vector<Answer> waiting_;
    bool closed_ = false;
};

}  // namespace stentor::app
