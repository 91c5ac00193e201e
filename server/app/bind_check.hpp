#pragma once
// Can this listener be opened, and if not, why and what to do about it?
// Binds and closes again; may look up a host name. Commands and error paths only, main thread.

#include "server/app/server.hpp"
#include "server/config/listen_url.hpp"

#include <optional>
#include <string>

namespace stentor::app {

/// Why the address of `url` cannot be bound now; nothing if it can.
[[nodiscard]] std::optional<Problem> bind_problem(const config::ListenUrl& url);

/// What to say when binding `url` has failed with `error_number` (errno): names the process that
/// holds the port, and a way out.
[[nodiscard]] Problem explain_bind_failure(const config::ListenUrl& url, int error_number);

}  // namespace stentor::app
