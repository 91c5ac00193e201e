#pragma once
// From auth.* of the configuration to what the server asks: the chain and the rules.
// Reads the password and ACL files; start-up, reload and commands only. Main thread.

#include "auth/acl.hpp"
#include "auth/authenticators.hpp"
#include "base/result.hpp"
#include "server/app/server.hpp"
#include "server/config/diagnostic.hpp"
#include "server/config/options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stentor::app {

inline constexpr std::size_t kAccessFileBytesMax = std::size_t{64} << 20U;

/// Both fail with every mistake of the file, ready to be rendered.
[[nodiscard]] Result<auth::PasswordFile, std::vector<config::Diagnostic>> read_password_file(
    const std::string& path);
[[nodiscard]] Result<auth::Acl, std::vector<config::Diagnostic>> read_acl_file(
    const std::string& path, auth::SubscribePolicy policy);

/// Reads what the options name. `executor` must outlive every request. Fails with the mistakes of
/// all files.
[[nodiscard]] Result<Access, std::vector<config::Diagnostic>> load_access(
    const config::Options& options, auth::Executor& executor);

}  // namespace stentor::app
