#pragma once
// From auth.* of the configuration to what the server asks: the chain and the rules.
// Reads the files of users, keys and rules; start-up, reload and commands only. Main thread.

#include "auth/acl.hpp"
#include "auth/authenticators.hpp"
#include "auth/ban_list.hpp"
#include "auth/http/client/http_authenticator.hpp"
#include "auth/jwt/key_set.hpp"
#include "base/result.hpp"
#include "server/app/server.hpp"
#include "server/config/diagnostic.hpp"
#include "server/config/options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stentor::app {

inline constexpr std::size_t kAccessFileBytesMax = std::size_t{64} << 20U;

/// All fail with every mistake of the file, ready to be rendered.
[[nodiscard]] Result<auth::PasswordFile, std::vector<config::Diagnostic>> read_password_file(
    const std::string& path);
[[nodiscard]] Result<auth::Acl, std::vector<config::Diagnostic>> read_acl_file(
    const std::string& path, auth::SubscribePolicy policy);
/// The keys of both files of [auth.jwt].
[[nodiscard]] Result<auth::JwtKeySet, std::vector<config::Diagnostic>> read_jwt_keys(
    const config::JwtOptions& options);
/// What FileWatch is to look at: keys are replaced under the running broker.
[[nodiscard]] std::vector<std::string> jwt_files(const config::JwtOptions& options);

/// What [auth.http] says, with its files read and checked. The service is not asked.
[[nodiscard]] Result<auth::HttpLoginOptions, std::vector<config::Diagnostic>> read_http_logins(
    const config::HttpAuthOptions& options);
[[nodiscard]] Result<auth::BanList, std::vector<config::Diagnostic>> read_ban_file(
    const std::string& path);

/// Reads what the options name. `executor` must outlive every request, `loop` every chain. Fails
/// with the mistakes of all files.
[[nodiscard]] Result<Access, std::vector<config::Diagnostic>> load_access(
    const config::Options& options, auth::Executor& executor, auth::HttpLoop& loop);

}  // namespace stentor::app
