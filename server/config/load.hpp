#pragma once
// From what the operator gave (file, environment, command line) to options, or to all mistakes.
// Reads the configuration file, otherwise pure; the environment is passed in. Any thread.

#include "base/result.hpp"
#include "server/config/diagnostic.hpp"
#include "server/config/document.hpp"
#include "server/config/options.hpp"
#include "server/config/options_table.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stentor::config {

/// Later wins: defaults, file, environment, listen, settings, data_dir.
struct Sources {
    std::optional<std::string> file;       // -c; nothing: no file is read
    std::vector<std::string> environment;  // "NAME=value"; others than STENTOR_<SECTION>__<KEY>
                                           // are not looked at
    std::vector<std::string> settings;     // --set: "limits.receive_maximum=20"
    std::vector<std::string> listen;       // --listen: replaces all listeners
    std::optional<std::string> data_dir;   // --data
};

struct Loaded {
    Options options;
    Origins origins;                   // of everything that is not a default
    std::vector<Diagnostic> warnings;  // legal, and probably not meant
};

/// Fails with every mistake that was found, in all sources.
[[nodiscard]] Result<Loaded, std::vector<Diagnostic>> load(const Sources& sources);

/// Mistakes found after loading whose source is a key's path ("auth.acl_file") get the place where
/// that key was given; those of keys that nobody has set stay as they are.
void point_to_origins(std::vector<Diagnostic>& diagnostics, const Origins& origins);

/// The strings of `environ`.
[[nodiscard]] std::vector<std::string> process_environment();

/// A key whose value differs; all of [[listener]] counts as one ("listener").
struct Change {
    std::string_view path;
    Applies applies = Applies::at_restart;
};
[[nodiscard]] std::vector<Change> changes(const Options& before, const Options& after);

}  // namespace stentor::config
