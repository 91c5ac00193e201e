#include "tools/client/reporter.hpp"

#include <cstdio>

namespace stentor::tools {

void Reporter::print(std::string_view kind, std::string_view what, std::string_view hint) const {
    auto text = fmt::format("{}: {}{}\n", program_, kind, what);
    if (!hint.empty()) text += fmt::format("{}: hint: {}\n", program_, hint);
    std::fwrite(text.data(), 1, text.size(), stderr);
}

void Reporter::usage(const UsageError& error) const {
    print("", error.what, error.hint.empty() ? "--help lists all options" : error.hint);
}

void Reporter::error(std::string_view what, std::string_view hint) const {
    if (verbosity_ == Verbosity::quiet) return;
    print("error: ", what, hint);
}

void Reporter::error(const ConnectError& failure) const { error(failure.what, failure.hint); }

}  // namespace stentor::tools
