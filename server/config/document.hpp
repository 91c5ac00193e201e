#pragma once
// Reads the text of a configuration file into options. The only place that knows TOML.
// Pure: text in, options and diagnostics out. Any thread.

#include "server/config/diagnostic.hpp"
#include "server/config/options.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::config {

/// Where a value came from, so that a later check of it can point there.
struct Origin {
    std::string source;  // file name, or "environment variable ...", "--set ..."
    FilePlace place;     // line 0 unless it is a file
    std::string line_text;
};

/// By path; listeners by number: "auth.acl_file", "listener.0.url".
using Origins = std::map<std::string, Origin, std::less<>>;

/// Puts every value of the file into `options` (whose other values stay) and its origin into
/// `origins`. All mistakes are appended to `errors`, in the order of the file; a value with a
/// mistake leaves its option as it was. A file with [[listener]] replaces all listeners.
void read_document(std::string_view text,
                   const std::string& file_name,
                   Options& options,
                   Origins& origins,
                   std::vector<Diagnostic>& errors);

}  // namespace stentor::config
