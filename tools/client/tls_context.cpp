#include "tools/client/tls_context.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <string_view>

namespace stentor::tools {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

bool names_no_ca(const TlsOptions& options) {
    return options.ca_file.empty() && options.ca_path.empty() && !options.use_system_cas;
}

bool is_address(const std::string& host) {
    boost::system::error_code error;
    asio::ip::make_address(host, error);
    return !error;
}

ConnectError unusable(std::string_view what, std::string_view file, const std::string& why) {
    return {fmt::format("cannot use {} '{}': {}", what, file, why)};
}

}  // namespace

Result<std::unique_ptr<ssl::context>, ConnectError> make_tls_context(const TlsOptions& options) {
    auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
    auto* native = context->native_handle();
    boost::system::error_code error;
    SSL_CTX_set_min_proto_version(
        native, options.version_min == "tlsv1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
    // A broker that drops the connection without close_notify is met every day.
    SSL_CTX_set_options(native, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (!options.ca_file.empty()) {
        context->load_verify_file(options.ca_file, error);
        if (error) return unusable("--cafile", options.ca_file, error.message());
    }
    if (!options.ca_path.empty()) {
        context->add_verify_path(options.ca_path, error);
        if (error) return unusable("--capath", options.ca_path, error.message());
    }
    if (options.use_system_cas || (names_no_ca(options) && !options.insecure)) {
        context->set_default_verify_paths(error);
    }
    if (!options.certificate_file.empty()) {
        context->use_certificate_chain_file(options.certificate_file, error);
        if (error) return unusable("--cert", options.certificate_file, error.message());
    }
    if (!options.key_file.empty()) {
        context->use_private_key_file(options.key_file, ssl::context::pem, error);
        if (error) return unusable("--key", options.key_file, error.message());
    }
    if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(native, options.ciphers.c_str()) != 1) {
        ERR_clear_error();
        return unusable("--ciphers", options.ciphers, "OpenSSL knows none of them");
    }
    return context;
}

void prepare_tls(SSL& ssl, const Address& address, const TlsOptions& options) {
    if (!is_address(address.host)) {
        // SSL_set_tlsext_host_name() with its C-style cast written out; it copies the name.
        auto host = address.host;
        SSL_ctrl(&ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data());
    }
    std::string protocol = options.alpn;
    if (protocol.empty()) protocol = is_websocket(address.scheme) ? "http/1.1" : "mqtt";
    const auto length = static_cast<unsigned char>(std::min<std::size_t>(protocol.size(), 255));
    std::basic_string<unsigned char> list{length};
    list.append(protocol.begin(), protocol.begin() + length);
    SSL_set_alpn_protos(&ssl, list.data(), static_cast<unsigned>(list.size()));

    const bool check_chain = !options.insecure || !names_no_ca(options);
    SSL_set_verify(&ssl, check_chain ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (options.insecure) return;
    if (is_address(address.host)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), address.host.c_str());
    } else {
        SSL_set1_host(&ssl, address.host.c_str());
    }
}

ConnectError tls_failure(SSL& ssl, const boost::system::error_code& error, const Address& address) {
    const auto verified = SSL_get_verify_result(&ssl);
    const auto where = address.to_string();
    switch (verified) {
        case X509_V_OK:
            break;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return {fmt::format("the certificate of {} is not for '{}'", where, address.host),
                    "connect by a name it holds, or skip the check with --insecure"};
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            return {fmt::format("the certificate of {} is not trusted: {}",
                                where,
                                X509_verify_cert_error_string(verified)),
                    "name the authority that signed it with --cafile"};
        default:
            return {fmt::format("the certificate of {} is refused: {}",
                                where,
                                X509_verify_cert_error_string(verified))};
    }
    const int reason = ERR_GET_REASON(static_cast<unsigned long>(error.value()));
    const bool from_ssl = error.category() == asio::error::get_ssl_category();
    if (from_ssl && reason == SSL_R_WRONG_VERSION_NUMBER) {
        return {fmt::format("{} does not speak TLS", where),
                "is it the port for plain MQTT? then connect without TLS options"};
    }
    if (from_ssl && (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                     reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)) {
        return {fmt::format("TLS with {} failed: {}", where, error.message()),
                "it may want a client certificate: --cert and --key"};
    }
    return {fmt::format("TLS with {} failed: {}", where, error.message())};
}

}  // namespace stentor::tools
