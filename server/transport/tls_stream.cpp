#include "server/transport/tls_stream.hpp"

#include "base/assert.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>

namespace stentor::server {

namespace {

constexpr std::size_t kRecordBytes = std::size_t{16} * 1024;

/// Whether records begin with the server's side of a handshake. A HelloRetryRequest is a
/// ServerHello with a Random of its own (RFC 8446 section 4.1.3): no key is computed for it, and
/// what stands behind it (change_cipher_spec) says nothing.
bool answers_hello(std::string_view records) {
    constexpr char kChangeCipherSpec = 0x14;
    constexpr char kHandshake = 0x16;
    constexpr char kServerHello = 0x02;
    constexpr std::size_t kMessage = 5;  // behind the record's head
    constexpr std::size_t kRandom = kMessage + 4 + 2;
    constexpr std::string_view kAsksAgain{
        "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91"
        "\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C",
        32};
    if (records.empty() || records[0] == kChangeCipherSpec) return false;
    return records[0] != kHandshake || records.size() < kRandom + kAsksAgain.size() ||
           records[kMessage] != kServerHello ||
           records.substr(kRandom, kAsksAgain.size()) != kAsksAgain;
}

}  // namespace

/// OpenSSL's window to the network: reads from TlsStream::input_, writes to TlsStream::output_.
struct TlsStream::Io {
    static TlsStream& stream(BIO* bio) { return *static_cast<TlsStream*>(::BIO_get_data(bio)); }

    static int read(BIO* bio, char* to, std::size_t size, std::size_t* got) {
        TlsStream& self = stream(bio);
        BIO_clear_retry_flags(bio);
        *got = 0;
        if (self.is_over_allowance_) return 0;  // for good: this ends the call of OpenSSL
        *got = std::min(size, self.input_.size());
        if (*got == 0) {
            BIO_set_retry_read(bio);
            return 0;
        }
        std::memcpy(to, self.input_.data(), *got);
        self.input_ = self.input_.subspan(*got);
        return 1;
    }

    static int write(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
        STENTOR_ASSERT(stream(bio).output_ != nullptr, "OpenSSL writes during our calls only");
        stream(bio).output_->append(as_bytes({from, size}));
        stream(bio).has_answered_ = stream(bio).has_answered_ || answers_hello({from, size});
        *put = size;
        return 1;
    }

    /// The head of each record, before OpenSSL asks for the rest of it: it takes any number of
    /// records that bring no data within one call, and only what it reads from can stop it.
    static void on_message(int is_written,
                           int /*version*/,
                           int type,
                           const void* /*bytes*/,
                           std::size_t /*size*/,
                           SSL* /*connection*/,
                           void* self) {
        if (is_written == 0 && type == SSL3_RT_HEADER) {
            static_cast<TlsStream*>(self)->take_record_head();
        }
    }

    static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static BIO_METHOD* method() {
        static BIO_METHOD* const kMethod = [] {
            BIO_METHOD* made = ::BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shard");
            (void)::BIO_meth_set_read_ex(made, &read);
            (void)::BIO_meth_set_write_ex(made, &write);
            (void)::BIO_meth_set_ctrl(made, &control);
            return made;
        }();
        return kMethod;
    }
};

void TlsStream::FreeSsl::operator()(ssl_st* connection) const noexcept { ::SSL_free(connection); }

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context, const char* protocols)
    : context_{std::move(context)}, ssl_{context_->new_connection()} {
    BIO* bio = ::BIO_new(Io::method());
    if (!ssl_ || bio == nullptr ||
        ::SSL_set_ex_data(ssl_.get(), 0, const_cast<char*>(protocols)) != 1) {
        throw std::bad_alloc{};
    }
    ::BIO_set_data(bio, this);
    ::BIO_set_init(bio, 1);
    ::SSL_set_bio(ssl_.get(), bio, bio);
    ::SSL_set_accept_state(ssl_.get());
    ::SSL_set_msg_callback(ssl_.get(), &Io::on_message);
    (void)::SSL_ctrl(ssl_.get(), SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, this);
}

TlsStream::~TlsStream() = default;

TlsStream::State TlsStream::receive(ByteView network, Bytes& clear, mqtt::WireBuffer& out) {
    input_ = network;
    output_ = &out;
    ::ERR_clear_error();
    thread_local std::array<std::byte, kRecordBytes> record;
    while (state_ == State::handshake || state_ == State::open) {
        std::size_t got = 0;
        const int result = ::SSL_read_ex(ssl_.get(), record.data(), record.size(), &got);
        if (result == 1) {
            clear.insert(clear.end(), record.data(), record.data() + got);
            take_data();
        }
        if (state_ == State::handshake && ::SSL_is_init_finished(ssl_.get()) != 0) {
            state_ = State::open;
        }
        if (result == 1) continue;
        const int error = ::SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_WANT_READ) break;
        if (error == SSL_ERROR_ZERO_RETURN) {
            state_ = State::ended;
        } else {
            fail();
        }
    }
    if (state_ == State::handshake) bound_handshake(network.size());
    input_ = {};
    output_ = nullptr;
    return state_;
}

/// OpenSSL keeps what it has of a message until that is whole, and lets a ClientHello have 128 KiB.
void TlsStream::bound_handshake(std::size_t received) {
    handshake_bytes_ += received;
    const bool shows_certificates = ::SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
    if (handshake_bytes_ <= (shows_certificates ? kCertificatesMax : kHelloMax)) return;
    why_ = "the handshake is too long";
    state_ = State::failed;
}

/// Those of the handshake have bounds of their own.
void TlsStream::take_record_head() {
    is_shaken_ = is_shaken_ || ::SSL_is_init_finished(ssl_.get()) != 0;
    if (!is_shaken_) return;
    is_over_allowance_ = is_over_allowance_ || allowance_ < 0;
    allowance_ -= kEmptyRecordCost;  // until it has brought data
}

/// OpenSSL gives one record at a time.
void TlsStream::take_data() noexcept {
    allowance_ = std::min(allowance_ + kEmptyRecordCost + 1, kAllowanceMax);
}

void TlsStream::fail() {
    if (is_over_allowance_) {
        why_ = "too many records without data (key updates, alerts, empty ones)";
        state_ = State::failed;
        return;
    }
    const unsigned long code = ::ERR_peek_error();
    const char* reason = ::ERR_reason_error_string(code);
    why_ = reason != nullptr ? reason : "unknown TLS error";
    const long verdict = ::SSL_get_verify_result(ssl_.get());
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        why_.append(": ").append(::X509_verify_cert_error_string(verdict));
    }
    ::ERR_clear_error();
    state_ = State::failed;
}

bool TlsStream::send(ByteView clear, mqtt::WireBuffer& out) {
    STENTOR_ASSERT(state_ == State::open || state_ == State::ended);
    output_ = &out;
    ::ERR_clear_error();
    while (!clear.empty()) {
        std::size_t put = 0;
        if (::SSL_write_ex(ssl_.get(), clear.data(), clear.size(), &put) != 1) {
            fail();
            break;
        }
        clear = clear.subspan(put);
    }
    output_ = nullptr;
    return clear.empty();
}

void TlsStream::finish(mqtt::WireBuffer& out) {
    if (state_ != State::open && state_ != State::ended) return;
    output_ = &out;
    ::ERR_clear_error();
    (void)::SSL_shutdown(ssl_.get());
    ::ERR_clear_error();
    output_ = nullptr;
}

std::string TlsStream::client_name() const {
    const std::unique_ptr<X509, void (*)(X509*)> certificate{
        ::SSL_get1_peer_certificate(ssl_.get()), ::X509_free};
    if (!certificate || ::SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
    X509_NAME* subject = ::X509_get_subject_name(certificate.get());
    const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) return {};
    unsigned char* text = nullptr;
    const int size = ::ASN1_STRING_to_UTF8(
        &text, ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at)));
    if (size < 0) return {};
    std::string name{reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
    ::OPENSSL_free(text);
    return name;
}

}  // namespace stentor::server
