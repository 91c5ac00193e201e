// The program `stentor`: one binary, one command per run.
#include "server/app/command_line.hpp"
#include "server/app/exit_code.hpp"
#include "server/app/serve_command.hpp"
#include "server/app/tool_commands.hpp"
#include "server/app/version.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace stentor;
using namespace stentor::app;

struct Runner {
    int operator()(ServeArguments& serve) const {
        serve.sources.environment = config::process_environment();
        return run_serve(serve.sources);
    }
    int operator()(CheckArguments& check) const {
        check.sources.environment = config::process_environment();
        return run_check(check);
    }
    int operator()(const InitArguments& init) const { return run_init(init); }
    int operator()(const ImportArguments& file) const { return run_import(file); }
    int operator()(const HealthArguments& health) const { return run_health(health); }
    int operator()(const UserArguments& user) const { return run_user(user); }
    int operator()(const StoreArguments& store) const { return run_store(store); }
    int operator()(const VersionArguments& /*version*/) const {
        std::cout << version_text();
        return kExitOk;
    }
    int operator()(ToolArguments& tool) const {
        for (const ToolCommand& command : tool_commands()) {
            if (command.name == tool.command) return run_tool(command, std::move(tool.arguments));
        }
        return kExitUsage;
    }
    int operator()(const Done& done) const { return done.exit_code; }
};

/// A standard descriptor that is closed would be the next socket or file, and be written to.
void open_closed_descriptors() {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
        (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    }
}

/// What a command has printed must have arrived: a disk may be full.
int with_output_written(int exit_code) {
    std::cout.flush();
    // What filled the buffer of stdout has failed earlier, and is not there to fail again.
    const bool written = std::cout && std::ferror(stdout) == 0;
    if (written || exit_code != kExitOk) return exit_code;
    std::cerr << "stentor: standard output cannot be written\n";
    return kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
    open_closed_descriptors();
    try {
        Command command = parse_command_line({argv + 1, argv + argc});
        // A broker lives on when nobody reads what it has printed.
        const bool serves = std::holds_alternative<ServeArguments>(command);
        const int exit_code = std::visit(Runner{}, command);
        return serves ? exit_code : with_output_written(exit_code);
    } catch (const std::exception& error) {
        // Exhausted memory, or a file system that throws: nothing above it knows more.
        std::cerr << "stentor: " << error.what() << '\n';
        return kExitFailed;
    }
}
