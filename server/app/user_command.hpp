#pragma once
// `stentor user add|passwd|del|list FILE [NAME]`: edits a password file.
// Main thread; prompts on the terminal, replaces the file atomically.

#include <cstdint>
#include <optional>
#include <string>

namespace stentor::app {

struct UserArguments {
    enum class Action : std::uint8_t { add, passwd, del, list };
    Action action = Action::list;
    std::string file;
    std::string name;                          // empty for list
    std::optional<std::string> password_file;  // "-": standard input; nothing: ask on the terminal
    bool scram = false;  // write keys for SCRAM-SHA-256 instead of an Argon2id hash
};

/// 0: done. 1: the file cannot be read or written, the user exists already or does not exist.
/// 2: usage.
[[nodiscard]] int run_user(const UserArguments& arguments);

}  // namespace stentor::app
