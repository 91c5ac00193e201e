#pragma once
// `stentor check`: is everything in order to serve with this configuration?
// Main thread; reads files, tries ports, makes an empty directory in the data directory and removes
// it again.

#include "server/app/rule_question.hpp"
#include "server/config/load.hpp"

#include <cstdint>

namespace stentor::app {

struct CheckArguments {
    enum class Print : std::uint8_t { findings, reference, example };
    config::Sources sources;
    Print print = Print::findings;
    RuleQuestion question = {};  // asked: nothing else is checked
};

/// 0: in order. 1: the machine is not ready (port in use, directory not writable, a store that this
/// version cannot open).
/// 2: the configuration or a file it names has mistakes. Of a question: see rule_question.hpp.
[[nodiscard]] int run_check(const CheckArguments& arguments);

}  // namespace stentor::app
