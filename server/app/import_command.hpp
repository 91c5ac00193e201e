#pragma once
// `stentor import mosquitto.conf`: prints a configuration that does the same.
// Main thread.

#include <string>

namespace stentor::app {

struct ImportArguments {
    std::string file;
    std::string output;                         // empty: standard output
    std::string data_dir = "/var/lib/stentor";  // where messages are kept, if Mosquitto keeps them
};

/// 0: written, whatever there was to warn of. 1: the output cannot be written. 2: the file cannot
/// be read.
[[nodiscard]] int run_import(const ImportArguments& arguments);

}  // namespace stentor::app
