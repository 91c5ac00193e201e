#pragma once
// The lines of a mosquitto.conf, those of the files it includes in their place.
// Reads files, otherwise pure; start-up of `stentor import` only. Any thread.

#include "base/result.hpp"
#include "server/config/diagnostic.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stentor::config {

struct MosquittoLine {
    std::string name;   // of the directive
    std::string value;  // the rest of the line; may be empty
    std::string source;
    FilePlace place;
    std::string text;  // the whole line

    /// "mosquitto.conf:12", as comments name it.
    [[nodiscard]] std::string where() const;
    [[nodiscard]] Diagnostic says(std::string what, std::string hint = {}) const;
};

/// Comments and empty lines are left out. Fails with the file that cannot be read; of `include_dir`
/// the files *.conf are read in the order of their names, as Mosquitto does.
[[nodiscard]] Result<std::vector<MosquittoLine>, Diagnostic> read_mosquitto_file(
    const std::string& path);

}  // namespace stentor::config
