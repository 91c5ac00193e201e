#pragma once
// From the configuration's listeners to the doors of server/transport: which layers each has, and
// its certificates. Main thread only.

#include "base/result.hpp"
#include "server/app/server.hpp"
#include "server/config/options.hpp"
#include "server/transport/door.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace stentor::app {

/// What `options` say to OpenSSL. Also for `stentor check`.
[[nodiscard]] server::TlsOptions tls_options(const config::TlsOptions& options);

/// The door of one listener with its certificates. Fails with the file and what to do.
[[nodiscard]] Result<server::Door, Problem> make_door(const config::ListenerOptions& listener);

/// What new connections to `listener` are to get instead of what `running` gives them (null: it is
/// about to start). Fails if OpenSSL cannot use the files, and if everybody they are for, or all
/// clients of an authority with a list, would be refused at `now` who are not by now. A start takes
/// what the passing of time, or a clock that is set, can mend, as the other doors depend on it;
/// only lists that are out of date for every client certificate there is it does not.
[[nodiscard]] Result<std::shared_ptr<const server::TlsContext>, server::TlsProblem>
usable_certificates(const config::ListenerOptions& listener,
                    const server::TlsContext* running,
                    server::WallTime now);

/// The key that names `file`, as in `tls` of listener `number`: "listener.0.tls.client_ca".
[[nodiscard]] std::string tls_key(const std::string& file,
                                  const config::TlsOptions& tls,
                                  std::size_t number);

/// The TLS options of `fresh` for the listeners in `running`, which stay what they are otherwise:
/// by URL, and of equal ones by their order. A listener that `fresh` has not, or with TLS where
/// there was none or the other way round, keeps its own.
[[nodiscard]] std::vector<config::ListenerOptions> with_tls_of(
    std::vector<config::ListenerOptions> running,
    const std::vector<config::ListenerOptions>& fresh);

/// Whether a listener, of as many in the same order, has TLS in one of them only.
[[nodiscard]] bool tls_appears_or_goes(const std::vector<config::ListenerOptions>& running,
                                       const std::vector<config::ListenerOptions>& fresh);

/// What FileWatch is to look at.
[[nodiscard]] std::vector<std::string> certificate_files(
    const std::vector<config::ListenerOptions>& listeners);

}  // namespace stentor::app
