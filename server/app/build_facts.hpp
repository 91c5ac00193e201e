#pragma once
// What only the build knows about this binary; build_facts.cmake writes the values.
// Constant; any thread.

#include <string_view>

namespace stentor::app {

struct BuildFacts {
    std::string_view version;  // "0.1.0"
    std::string_view commit;   // of git, "-dirty" if files had changed; "unknown" without git
    std::string_view type;     // "Release", "Debug address,undefined"
};

extern const BuildFacts kBuild;

}  // namespace stentor::app
