#pragma once
// The log's records applied to an empty state, and where the result must be what state.db holds:
// for sessions that began, and retained values that were set, since the log's last gap.
// Values. One thread.

#include "base/ids.hpp"
#include "persistence/state/stored_state.hpp"

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

namespace stentor::store {

class Replay {
  public:
    /// Records between the last one and the next are not there: what has been read says nothing.
    void gap();
    void apply(Seq seq, const Record& record);
    /// The last record applied; kNoSeq after a gap.
    [[nodiscard]] Seq last() const noexcept { return last_; }

    struct Difference {
        std::vector<std::string> lines;
        std::uint64_t sessions = 0;  // compared
        std::uint64_t retained = 0;
    };
    [[nodiscard]] Difference compare(const StoredState& state) const;

  private:
    [[nodiscard]] bool knows(const ClientId& client) const { return known_.contains(client); }

    StoredState state_;
    std::unordered_set<ClientId> known_;
    std::unordered_set<std::string> topics_;
    Seq last_;
};

/// All of a session, as a line that is the same for equal ones.
[[nodiscard]] std::string description(const StoredSession& session);

}  // namespace stentor::store
