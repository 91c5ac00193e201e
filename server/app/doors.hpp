#pragma once
// From the configuration's listeners to the doors of server/transport: which layers each has, and
// its certificates, read from files again when those change.
// Main thread only; what it puts into a Door's slot the shards see at once.

#include "base/result.hpp"
#include "server/app/server.hpp"
#include "server/config/options.hpp"
#include "server/transport/door.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace stentor::app {

/// What `options` say to OpenSSL. Also for `stentor check`.
[[nodiscard]] server::TlsOptions tls_options(const config::TlsOptions& options);

/// The door of one listener with its certificates. Fails with the file and what to do.
[[nodiscard]] Result<server::Door, Problem> make_door(const config::ListenerOptions& listener);

/// Whether the files of all `listeners` can be used: make_door() and renew_certificates() would
/// take them now.
[[nodiscard]] Result<void, Problem> check_certificates(
    const std::vector<config::ListenerOptions>& listeners);

/// The TLS options of `fresh` for the listeners in `running`, which stay what they are otherwise:
/// by URL, and of equal ones by their order. A listener that `fresh` has not, or with TLS where
/// there was none or the other way round, keeps its own.
[[nodiscard]] std::vector<config::ListenerOptions> with_tls_of(
    std::vector<config::ListenerOptions> running,
    const std::vector<config::ListenerOptions>& fresh);

/// Whether a listener, of as many in the same order, has TLS in one of them only.
[[nodiscard]] bool tls_appears_or_goes(const std::vector<config::ListenerOptions>& running,
                                       const std::vector<config::ListenerOptions>& fresh);

/// Reads the certificates of `door` again. A failure leaves the old ones in force.
[[nodiscard]] Result<void, Problem> renew_certificates(const config::ListenerOptions& listener,
                                                       server::Door& door);

/// What FileWatch is to look at.
[[nodiscard]] std::vector<std::string> certificate_files(
    const std::vector<config::ListenerOptions>& listeners);

/// Warns in the log of certificates that end within 30 days, or have ended, and of a revocation
/// list that ends within two days.
void warn_of_expiry(const config::ListenerOptions& listener,
                    const server::Door& door,
                    std::chrono::system_clock::time_point now);

}  // namespace stentor::app
