#include "server/app/import_command.hpp"

#include "server/app/atomic_file.hpp"
#include "server/app/exit_code.hpp"
#include "server/config/diagnostic.hpp"
#include "server/config/mosquitto_import.hpp"

#include <filesystem>
#include <iostream>
#include <system_error>

namespace stentor::app {

int run_import(const ImportArguments& arguments) {
    const auto lines = config::read_mosquitto_file(arguments.file);
    if (!lines) {
        std::cerr << config::render(lines.error());
        return kExitUsage;
    }
    const config::Imported imported = config::import_mosquitto(*lines, arguments.data_dir);
    std::cerr << config::render(imported.notes, "note")
              << config::render(imported.warnings, "warning");
    if (arguments.output.empty()) {
        std::cout << imported.toml;
        return kExitOk;
    }
    std::error_code unknown;
    if (std::filesystem::exists(arguments.output, unknown)) {
        std::cerr << "stentor import: " << arguments.output << " is there already\n";
        return kExitFailed;
    }
    if (const auto written = replace_file(arguments.output, imported.toml); !written) {
        std::cerr << "stentor import: " << written.error() << '\n';
        return kExitFailed;
    }
    // No secrets are in it, and the service's user has to read it.
    using std::filesystem::perms;
    std::filesystem::permissions(arguments.output,
                                 perms::group_read | perms::others_read,
                                 std::filesystem::perm_options::add,
                                 unknown);
    return kExitOk;
}

}  // namespace stentor::app
