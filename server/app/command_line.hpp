#pragma once
// What the operator typed, understood; or help, or a mistake with the nearest name.
// Pure but for the terminal: help goes to stdout, mistakes to stderr. Main thread.

#include "server/app/check_command.hpp"
#include "server/app/health_command.hpp"
#include "server/app/import_command.hpp"
#include "server/app/init_command.hpp"
#include "server/app/store_command.hpp"
#include "server/app/user_command.hpp"
#include "server/config/load.hpp"

#include <string>
#include <variant>
#include <vector>

namespace stentor::app {

struct ServeArguments {
    config::Sources sources;
};
struct VersionArguments {};
/// A command that understands its own letters (pub, sub): everything after its name.
struct ToolArguments {
    std::string command;
    std::vector<std::string> arguments;
};
/// Nothing to do any more: help has been printed, or a mistake.
struct Done {
    int exit_code = 0;
};

using Command = std::variant<ServeArguments,
                             CheckArguments,
                             InitArguments,
                             ImportArguments,
                             HealthArguments,
                             UserArguments,
                             StoreArguments,
                             VersionArguments,
                             ToolArguments,
                             Done>;

/// `arguments` without the program's name. The environment of the sources is left empty.
[[nodiscard]] Command parse_command_line(const std::vector<std::string>& arguments);

}  // namespace stentor::app
