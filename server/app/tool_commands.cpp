#include "server/app/tool_commands.hpp"

#ifdef STENTOR_HAS_BENCH
#include "tools/bench/bench.hpp"
#endif
#ifdef STENTOR_HAS_PUB
#include "tools/pub/pub.hpp"
#endif
#ifdef STENTOR_HAS_SUB
#include "tools/sub/sub.hpp"
#endif

namespace stentor::app {

std::span<const ToolCommand> tool_commands() {
    static const std::vector<ToolCommand> kCommands{
#ifdef STENTOR_HAS_PUB
        {"pub", "publish messages (the letters of mosquitto_pub)", &tools::run_pub},
#endif
#ifdef STENTOR_HAS_SUB
        {"sub", "subscribe and print messages (the letters of mosquitto_sub)", &tools::run_sub},
#endif
#ifdef STENTOR_HAS_BENCH
        {"bench", "load a broker and check every message it delivers", &bench::run_bench},
#endif
    };
    return kCommands;
}

int run_tool(const ToolCommand& command, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "stentor " + std::string{command.name});
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    return command.run(static_cast<int>(arguments.size()), argv.data());
}

}  // namespace stentor::app
