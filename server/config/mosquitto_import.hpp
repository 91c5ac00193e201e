#pragma once
// From the directives of a mosquitto.conf to a configuration file of ours that does the same, and
// a word about each line for which there is nothing the same.
// Pure. Any thread.

#include "server/config/diagnostic.hpp"
#include "server/config/mosquitto_file.hpp"

#include <string>
#include <vector>

namespace stentor::config {

struct Imported {
    std::string toml;
    std::vector<Diagnostic> warnings;  // something is different from now on, or missing
    std::vector<Diagnostic> notes;     // of lines that are not needed here
};

/// `data_dir` is where messages are kept if Mosquitto keeps them. Password and ACL files stay where
/// and as they are. Of settings that Mosquitto has per listener the stricter ones count.
[[nodiscard]] Imported import_mosquitto(const std::vector<MosquittoLine>& lines,
                                        const std::string& data_dir);

}  // namespace stentor::config
