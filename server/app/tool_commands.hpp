#pragma once
// The commands that live in tools/, those of them that this build has.
// Main thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::app {

struct ToolCommand {
    std::string_view name;
    std::string_view description;
    int (*run)(int argc, char** argv);  // argv[0]: "stentor pub"
};

[[nodiscard]] std::span<const ToolCommand> tool_commands();

/// Runs the command with these arguments; returns its exit code.
[[nodiscard]] int run_tool(const ToolCommand& command, std::vector<std::string> arguments);

}  // namespace stentor::app
