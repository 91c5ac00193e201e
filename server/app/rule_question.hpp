#pragma once
// `stentor check --as USER --publish TOPIC`: what would the rules say, and which of them?
// Main thread; reads files.

#include "server/config/options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stentor::app {

struct RuleQuestion {
    std::optional<std::string> user;  // empty: a client without a name
    std::string client_id;
    std::vector<std::string> roles;      // as if its credentials named them
    std::vector<std::string> publish;    // topic names
    std::vector<std::string> subscribe;  // filters

    [[nodiscard]] bool is_asked() const { return !publish.empty() || !subscribe.empty(); }
};

/// Prints a line per topic: allowed or refused, and the rule that decides. 0: all is allowed. 1:
/// some is refused. 2: the ACL file or a topic has mistakes.
[[nodiscard]] int answer_rule_question(const config::Options& options,
                                       const RuleQuestion& question);

}  // namespace stentor::app
