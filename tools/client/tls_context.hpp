#pragma once
// The client's side of TLS: options to an OpenSSL context, and its failures in words.
// Start-up only.

#include "base/result.hpp"
#include "tools/client/stream.hpp"

#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <string>

namespace stentor::tools {

/// TLS 1.2 or later, the certificates of `options` loaded. Fails with the file that cannot be used.
[[nodiscard]] Result<std::unique_ptr<boost::asio::ssl::context>, ConnectError> make_tls_context(
    const TlsOptions& options);

/// SNI, ALPN and the checks of the peer's certificate, for one connection to `address`.
void prepare_tls(SSL& ssl, const Address& address, const TlsOptions& options);

/// Why the handshake failed, and what may help.
[[nodiscard]] ConnectError tls_failure(SSL& ssl,
                                       const boost::system::error_code& error,
                                       const Address& address);

}  // namespace stentor::tools
