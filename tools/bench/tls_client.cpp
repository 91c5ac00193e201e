#include "tools/bench/tls_client.hpp"

#include "tools/client/tls_context.hpp"

#include <boost/asio/ssl/error.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace stentor::bench {

void TlsClient::Free::operator()(SSL* ssl) const noexcept { ::SSL_free(ssl); }

TlsClient::TlsClient(const Target::Security& security)
    : security_{&security}, ssl_{::SSL_new(security.context->native_handle())} {
    STENTOR_ASSERT(ssl_ != nullptr);
    BIO* in = ::BIO_new(::BIO_s_mem());
    BIO* out = ::BIO_new(::BIO_s_mem());
    STENTOR_ASSERT(in != nullptr && out != nullptr);
    ::SSL_set_bio(ssl_.get(), in, out);
    ::SSL_set_connect_state(ssl_.get());
    tools::prepare_tls(*ssl_, security.address, security.options);
}

void TlsClient::begin(mqtt::WireBuffer& wire) { shake_hands(wire); }

bool TlsClient::is_open() const noexcept {
    return !has_failed_ && ::SSL_is_init_finished(ssl_.get()) == 1;
}

std::size_t TlsClient::receive(MutableByteView buffer, std::size_t bytes, mqtt::WireBuffer& wire) {
    STENTOR_ASSERT(bytes + kRecordBytesMax <= buffer.size());
    std::size_t taken = 0;
    STENTOR_ASSERT(::BIO_write_ex(::SSL_get_rbio(ssl_.get()), buffer.data(), bytes, &taken) == 1 &&
                   taken == bytes);
    if (!is_open()) shake_hands(wire);
    if (!is_open()) return 0;
    std::size_t size = 0;
    while (size < buffer.size()) {
        std::size_t got = 0;
        ::ERR_clear_error();
        const int done =
            ::SSL_read_ex(ssl_.get(), buffer.data() + size, buffer.size() - size, &got);
        if (done != 1) {
            if (::SSL_get_error(ssl_.get(), done) == SSL_ERROR_SSL) fail();
            break;
        }
        size += got;
    }
    take_output(wire);
    return size;
}

void TlsClient::send(ByteView clear, mqtt::WireBuffer& wire) {
    std::size_t sent = 0;
    ::ERR_clear_error();
    if (::SSL_write_ex(ssl_.get(), clear.data(), clear.size(), &sent) != 1) fail();
    take_output(wire);
}

void TlsClient::finish(mqtt::WireBuffer& wire) {
    if (!is_open()) return;
    (void)::SSL_shutdown(ssl_.get());
    take_output(wire);
}

void TlsClient::shake_hands(mqtt::WireBuffer& wire) {
    ::ERR_clear_error();
    const int done = ::SSL_do_handshake(ssl_.get());
    if (done != 1 && ::SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) fail();
    take_output(wire);
}

void TlsClient::take_output(mqtt::WireBuffer& wire) {
    BIO* out = ::SSL_get_wbio(ssl_.get());
    const std::size_t size = ::BIO_ctrl_pending(out);
    if (size == 0) return;
    std::size_t got = 0;
    STENTOR_ASSERT(::BIO_read_ex(out, wire.reserve(size), size, &got) == 1);
    wire.commit(got);
}

void TlsClient::fail() {
    const boost::system::error_code error{static_cast<int>(::ERR_get_error()),
                                          boost::asio::error::get_ssl_category()};
    const tools::ConnectError said = tools::tls_failure(*ssl_, error, security_->address);
    why_ = said.hint.empty() ? said.what : said.what + " (" + said.hint + ')';
    has_failed_ = true;
}

}  // namespace stentor::bench
