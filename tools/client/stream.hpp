#pragma once
// A byte stream to a broker, over whatever: TCP, Unix socket, TLS, WebSocket.
// Control plane: one virtual call and one coroutine frame per read or write. Used on the thread of
// its io_context only.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "tools/client/broker_url.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace stentor::tools {

class Stream {
  public:
    struct Read {
        boost::system::error_code error;
        std::size_t bytes = 0;
    };

    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    virtual ~Stream() = default;

    /// At least one byte, or an error. One read and one write may be under way at a time; the
    /// buffers must live until they are done.
    [[nodiscard]] virtual boost::asio::awaitable<Read> read_some(MutableByteView buffer) = 0;
    /// All of it, or an error.
    [[nodiscard]] virtual boost::asio::awaitable<boost::system::error_code> write(
        ByteView bytes) = 0;
    /// Tells the peer that nothing more comes (TCP FIN, close_notify, close frame).
    [[nodiscard]] virtual boost::asio::awaitable<void> end_writing() = 0;
    /// Closes at once; what is under way ends with an error.
    virtual void close() noexcept = 0;
};

struct TlsOptions {
    std::string ca_file;
    std::string ca_path;
    bool use_system_cas = false;
    std::string certificate_file;
    std::string key_file;
    std::string ciphers;      // OpenSSL's list; empty: its default
    std::string version_min;  // "tlsv1.2" or "tlsv1.3"; empty: 1.2
    std::string alpn;         // empty: "mqtt", or "http/1.1" for wss
    /// No check of the host name; without any CA given, none of the certificate either.
    bool insecure = false;
};

struct ConnectOptions {
    Address address;
    TlsOptions tls;
    std::string bind_address;                   // local address; empty: the system's choice
    std::chrono::milliseconds timeout{10'000};  // names, connection and handshakes together
};

/// What to tell the user: what happened, and what may help (may be empty).
struct ConnectError {
    std::string what;
    std::string hint{};
};

/// Resolves, connects (addresses raced a quarter of a second apart, RFC 8305) and shakes hands.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Stream>, ConnectError>> open_stream(
    ConnectOptions options);

}  // namespace stentor::tools
