#pragma once
// Sees when files have changed, by looking now and then: certificates and keys are replaced under
// the running broker. One thread.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stentor::app {

class FileWatch {
  public:
    /// Whether one of `files` differs from what it was at the last call, or they are other files;
    /// false at the first call.
    [[nodiscard]] bool changed(std::vector<std::string> files);

    /// What was read of them is not in force: the next call returns true.
    void forget();

  private:
    using Stamp = std::pair<std::string, std::int64_t>;
    std::vector<Stamp> seen_;
    bool looked_ = false;
};

}  // namespace stentor::app
