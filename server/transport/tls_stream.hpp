#pragma once
// The server's side of one TLS connection without its socket: network bytes in and out, clear
// bytes out and in. OpenSSL reads from where the caller's bytes lie and writes to where the caller
// wants them; between calls it holds no buffers (SSL_MODE_RELEASE_BUFFERS), except for a record
// that has not come whole. One per connection, on its connection's shard; may move to another.
//
// Bounds: what one receive() can bring is what the caller read; a record is at most 16 KiB; a
// handshake that is not complete 20 KiB (64 where certificates are asked for), and its time is the
// shard's connect time-out. Records behind the handshake that bring no data are counted.

#include "base/bytes.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "server/transport/tls_context.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

struct bio_st;

namespace stentor::server {

class TlsStream {
  public:
    enum class State : std::uint8_t {
        handshake,
        open,
        ended,   // the peer said so (close_notify)
        failed,  // why() says what was wrong; an alert for the peer may be in `out`
    };

    /// Begins a handshake; keeps `context` until the end. `protocols`: what is spoken inside, the
    /// one we prefer first, as ALPN writes it (RFC 7301 section 3.1); outlives this.
    TlsStream(std::shared_ptr<const TlsContext> context, const char* protocols);
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    /// Takes all of `network`; appends what the peer said to `clear` and what OpenSSL has for the
    /// peer to `out`. Not after ended or failed.
    State receive(ByteView network, Bytes& clear, mqtt::WireBuffer& out);

    /// Appends `clear` in records to `out`. Only while open; false if OpenSSL fails.
    [[nodiscard]] bool send(ByteView clear, mqtt::WireBuffer& out);

    /// Appends close_notify, unless there was no handshake.
    void finish(mqtt::WireBuffer& out);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] const std::string& why() const noexcept { return why_; }
    /// The peer's hello has been answered, and that has cost what a handshake costs; not if it was
    /// only asked to say it again (HelloRetryRequest, RFC 8446 section 4.1.4).
    [[nodiscard]] bool has_answered() const noexcept { return has_answered_; }

    /// The common name of the client's verified certificate, whatever is in it (a hidden end, as in
    /// "admin\0.example"); empty: it has shown none.
    [[nodiscard]] std::string client_name() const;

  private:
    struct FreeSsl {
        void operator()(ssl_st* connection) const noexcept;
    };
    struct Io;

    static constexpr std::size_t kHelloMax = std::size_t{20} * 1024;
    static constexpr std::size_t kCertificatesMax = std::size_t{64} * 1024;

    /// What a record without data (KeyUpdate, alert, nothing) takes from the allowance; one with
    /// data gives one. 32 can come at once: no peer needs more than one in 2^24 records (RFC 8446
    /// section 5.5), and keys are computed for each KeyUpdate.
    static constexpr std::int32_t kEmptyRecordCost = 128;
    static constexpr std::int32_t kAllowanceMax = 32 * kEmptyRecordCost;

    void bound_handshake(std::size_t received);
    void take_record_head();
    void take_data() noexcept;
    void fail();

    std::shared_ptr<const TlsContext> context_;
    std::unique_ptr<ssl_st, FreeSsl> ssl_;
    ByteView input_;                      // valid during a call
    mqtt::WireBuffer* output_ = nullptr;  // likewise
    std::string why_;
    State state_ = State::handshake;
    bool has_answered_ = false;
    bool is_shaken_ = false;          // OpenSSL has completed the handshake, perhaps in this call
    bool is_over_allowance_ = false;  // no more is read
    std::int32_t allowance_ = kAllowanceMax;
    std::size_t handshake_bytes_ = 0;  // received so far
};

}  // namespace stentor::server
