// `scenario_tools pub ...` and `scenario_tools sub ...`: the tools as programs of their own, so
// that their scenarios need nothing of the server.

#include "tools/pub/pub.hpp"
#include "tools/sub/sub.hpp"

#include <cstdio>
#include <string>
#include <string_view>

int main(int argc, char** argv) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    std::string name = "stentor " + std::string{command};
    if (argc > 1) argv[1] = name.data();
    if (command == "pub") return stentor::tools::run_pub(argc - 1, argv + 1);
    if (command == "sub") return stentor::tools::run_sub(argc - 1, argv + 1);
    std::fputs("usage: scenario_tools pub|sub ...\n", stderr);
    return 2;
}
