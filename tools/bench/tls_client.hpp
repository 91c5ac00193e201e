#pragma once
// The client's side of TLS for one connection of the generator: bytes in, bytes out, no socket.
// OpenSSL does the work, over memory.
// One owner, one thread.

#include "base/bytes.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "tools/bench/target.hpp"

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <string>

namespace stentor::bench {

class TlsClient {
  public:
    /// `security` outlives the connection.
    explicit TlsClient(const Target::Security& security);

    /// Appends the ClientHello to `wire`.
    void begin(mqtt::WireBuffer& wire);
    /// Takes the first `bytes` of `buffer`, which came from the network, and leaves what has been
    /// in them, and in the piece of a record from before, at its front; returns how much that is.
    /// `buffer` has room for kRecordBytesMax more. Appends to `wire` what the handshake wants to
    /// answer.
    [[nodiscard]] std::size_t receive(MutableByteView buffer,
                                      std::size_t bytes,
                                      mqtt::WireBuffer& wire);
    static constexpr std::size_t kRecordBytesMax = std::size_t{16} * 1024;  // RFC 8446 5.1
    /// Appends `clear` to `wire`, encrypted. Only while is_open().
    void send(ByteView clear, mqtt::WireBuffer& wire);
    /// Appends a close_notify.
    void finish(mqtt::WireBuffer& wire);

    [[nodiscard]] bool is_open() const noexcept;
    /// Nothing more goes or comes; why() says what is wrong, in the words of a message to a user.
    [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }
    [[nodiscard]] const std::string& why() const noexcept { return why_; }

  private:
    struct Free {
        void operator()(SSL* ssl) const noexcept;
    };
    void shake_hands(mqtt::WireBuffer& wire);
    void take_output(mqtt::WireBuffer& wire);
    void fail();

    const Target::Security* security_;
    std::unique_ptr<SSL, Free> ssl_;
    std::string why_;
    bool has_failed_ = false;
};

}  // namespace stentor::bench
