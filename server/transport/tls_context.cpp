#include "server/transport/tls_context.hpp"

#include "base/assert.hpp"
#include "server/transport/tls_tickets.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace stentor::server {

namespace {

/// Of TLS 1.2, unless the configuration says otherwise: forward secrecy and authenticated
/// encryption, which is Mozilla's "intermediate" without finite fields.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";

/// What OpenSSL's queue of errors says of the last failure; empties it.
std::string openssl_reason() {
    const unsigned long code = ::ERR_peek_error();
    const char* reason = ::ERR_reason_error_string(code);
    std::string text = reason != nullptr ? reason : "unknown reason";
    if (ERR_SYSTEM_ERROR(code)) text = std::strerror(static_cast<int>(ERR_GET_REASON(code)));
    ::ERR_clear_error();
    return text;
}

/// `hint` is about what the file should hold; one that is not there needs another.
TlsProblem problem(const std::string& what, const std::string& file, std::string hint) {
    std::error_code unknown;
    if (std::filesystem::is_directory(file, unknown)) {
        ::ERR_clear_error();
        return {.what = what + ' ' + absolute_path(file) + ": it is a directory",
                .hint = "name a file in it; " + hint,
                .file = file};
    }
    const unsigned long code = ::ERR_peek_error();
    if (ERR_SYSTEM_ERROR(code) && ERR_GET_REASON(code) == ENOENT) {
        hint =
            "correct the path in this listener's tls, or put the file there; `stentor init` "
            "makes an authority, a certificate and its key";
    }
    return {.what = what + ' ' + absolute_path(file) + ": " + openssl_reason(),
            .hint = std::move(hint),
            .file = file};
}

/// Nobody is there to type a passphrase.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writes*/, void* /*data*/) { return 0; }

/// Of what TlsStream says is spoken the first that the client offers. One that offers nothing of it
/// is let in all the same, without the alert of RFC 7301 section 3.2: such clients exist (AWS's
/// x-amzn-mqtt-ca), and the protocol is told apart by what they say.
int choose_protocol(SSL* connection,
                    const unsigned char** out,
                    unsigned char* out_size,
                    const unsigned char* in,
                    unsigned in_size,
                    void* /*data*/) {
    const auto* ours = static_cast<const char*>(::SSL_get_ex_data(connection, 0));
    if (ours == nullptr) return SSL_TLSEXT_ERR_NOACK;
    unsigned char* chosen = nullptr;
    if (::SSL_select_next_proto(&chosen,
                                out_size,
                                reinterpret_cast<const unsigned char*>(ours),
                                static_cast<unsigned>(std::strlen(ours)),
                                in,
                                in_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void set_policy(SSL_CTX* context, const TlsOptions& options) {
    ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    ::SSL_CTX_set_options(context,
                          SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                              SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)::SSL_CTX_set_min_proto_version(
        context, options.version_min == TlsVersion::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    (void)::SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
    // Sessions are in the clients' tickets only: nothing to bound, nothing to share.
    ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)::SSL_CTX_set_num_tickets(context, 1);
    bound_tickets(context);
    static constexpr std::string_view kSessionContext = "stentor";
    (void)::SSL_CTX_set_session_id_context(
        context,
        reinterpret_cast<const unsigned char*>(kSessionContext.data()),
        static_cast<unsigned>(kSessionContext.size()));
    ::SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    ::SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
}

Result<void, TlsProblem> set_clients(SSL_CTX* context, const TlsOptions& options) {
    if (options.client_certificates == ClientCertificates::none) return {};
    const char* ca = options.client_ca_file.c_str();
    if (::SSL_CTX_load_verify_file(context, ca) != 1) {
        return problem("cannot use the client authorities in",
                       options.client_ca_file,
                       "a PEM file with one or more CA certificates is needed");
    }
    if (STACK_OF(X509_NAME)* names = ::SSL_load_client_CA_file(ca)) {
        ::SSL_CTX_set_client_CA_list(context, names);
    }
    int mode = SSL_VERIFY_PEER;
    if (options.client_certificates == ClientCertificates::required) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    ::SSL_CTX_set_verify(context, mode, nullptr);
    if (options.client_crl_file.empty()) return {};
    X509_STORE* store = ::SSL_CTX_get_cert_store(context);
    X509_LOOKUP* lookup = ::X509_STORE_add_lookup(store, ::X509_LOOKUP_file());
    if (lookup == nullptr ||
        ::X509_load_crl_file(lookup, options.client_crl_file.c_str(), X509_FILETYPE_PEM) < 1) {
        return problem("cannot use the revocation list in",
                       options.client_crl_file,
                       "a PEM file with a CRL of the client authority is needed");
    }
    return {};
}

/// What `wanted` stands for, less what this OpenSSL's security level forbids.
Result<void, TlsProblem> set_ciphers(SSL_CTX* context, const TlsOptions& options) {
    const std::string wanted = options.ciphers.empty() ? kCiphers : options.ciphers;
    const auto mistake = [&options](const std::string& what, const char* hint) {
        return TlsProblem{.what = "ciphers = \"" + options.ciphers + "\": " + what, .hint = hint};
    };
    constexpr const char* kHowToSee = "`openssl ciphers -v` lists what a text stands for";
    if (::SSL_CTX_set_cipher_list(context, wanted.c_str()) != 1) {
        return mistake("no cipher is left: " + openssl_reason(), kHowToSee);
    }
    const std::unique_ptr<SSL, decltype(&::SSL_free)> connection{::SSL_new(context), ::SSL_free};
    if (!connection) return TlsProblem{.what = "OpenSSL: " + openssl_reason(), .hint = {}};
    const std::unique_ptr<STACK_OF(SSL_CIPHER), void (*)(STACK_OF(SSL_CIPHER)*)> ciphers{
        ::SSL_get1_supported_ciphers(connection.get()),
        [](STACK_OF(SSL_CIPHER) * all) { sk_SSL_CIPHER_free(all); }};
    bool any = options.version_min == TlsVersion::tls1_3;
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers.get()); ++i) {
        const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers.get(), i);
        if (::SSL_CIPHER_get_cipher_nid(cipher) == NID_undef) {
            return mistake(std::string{::SSL_CIPHER_get_name(cipher)} + " encrypts nothing",
                           "add \":!eNULL\"");
        }
        if (::SSL_CIPHER_get_auth_nid(cipher) == NID_auth_null) {
            return mistake(std::string{::SSL_CIPHER_get_name(cipher)} +
                               " lets anybody pretend to be this server",
                           "add \":!aNULL\"");
        }
        any = any || ::SSL_CIPHER_get_auth_nid(cipher) != NID_auth_any;  // TLS 1.3 has its own
    }
    if (any) return {};
    return mistake("no cipher is left for TLS 1.2 that OpenSSL's security level allows", kHowToSee);
}

Result<void, TlsProblem> load_pair(SSL_CTX* context, const TlsOptions::Pair& pair) {
    if (::SSL_CTX_use_certificate_chain_file(context, pair.certificate_file.c_str()) != 1) {
        return problem("cannot use the certificate in",
                       pair.certificate_file,
                       "a PEM file is needed: the server's certificate first, then the chain");
    }
    if (::SSL_CTX_use_PrivateKey_file(context, pair.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
        const bool other = ERR_GET_REASON(::ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH ||
                           ERR_GET_REASON(::ERR_peek_error()) == X509_R_KEY_TYPE_MISMATCH;
        return problem("cannot use the key in",
                       pair.key_file,
                       other ? "it belongs to another certificate than " + pair.certificate_file
                             : "an unencrypted PEM key that this user may read is needed");
    }
    return {};
}

void set_revocation(SSL_CTX* context, const TlsReview& review) {
    unsigned long flags = X509_V_FLAG_CRL_CHECK;
    // Intermediate authorities are looked up as well where that can succeed.
    if (review.has_list_of_each()) flags |= X509_V_FLAG_CRL_CHECK_ALL;
    (void)::X509_STORE_set_flags(::SSL_CTX_get_cert_store(context), flags);
}

/// Appends what tells one certificate or list from all others.
template <class T>
void append_digest(std::string& out,
                   const T* of,
                   int (*digest)(const T*, const EVP_MD*, unsigned char*, unsigned*)) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    (void)digest(of, ::EVP_sha256(), bytes.data(), &size);
    out.append(reinterpret_cast<const char*>(bytes.data()), size);
}

/// Of all that `context` shows and trusts. Keys belong to their certificates.
std::string contents_of(SSL_CTX* context) {
    std::string contents{"shown"};
    append_digest<X509>(contents, ::SSL_CTX_get0_certificate(context), ::X509_digest);
    STACK_OF(X509)* chain = nullptr;
    (void)::SSL_CTX_get0_chain_certs(context, &chain);
    for (int i = 0; i < sk_X509_num(chain); ++i) {
        append_digest<X509>(contents, sk_X509_value(chain, i), ::X509_digest);
    }
    contents += "trusted";
    const STACK_OF(X509_OBJECT)* objects =
        ::X509_STORE_get0_objects(::SSL_CTX_get_cert_store(context));
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        const X509_OBJECT* each = sk_X509_OBJECT_value(objects, i);
        if (const X509* authority = ::X509_OBJECT_get0_X509(each)) {
            append_digest<X509>(contents, authority, ::X509_digest);
        } else if (const X509_CRL* list = ::X509_OBJECT_get0_X509_CRL(each)) {
            append_digest<X509_CRL>(contents, list, ::X509_CRL_digest);
        }
    }
    return contents;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const noexcept { ::SSL_CTX_free(context); }

Result<std::shared_ptr<const TlsContext>, TlsProblem> TlsContext::load(const TlsOptions& options,
                                                                       const TlsContext* previous) {
    STENTOR_ASSERT(!options.certificates.empty(), "a TLS door has a certificate");
    ::ERR_clear_error();
    auto made = std::shared_ptr<TlsContext>(new TlsContext);
    for (const TlsOptions::Pair& pair : options.certificates) {
        STENTOR_TRY_VOID(made->add(options, pair));
    }
    SSL_CTX* first = made->contexts_.front().get();
    // The macros of OpenSSL cast in C's way.
    (void)::SSL_CTX_callback_ctrl(first,
                                  SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                                  reinterpret_cast<void (*)()>(&choose_certificate));
    (void)::SSL_CTX_ctrl(first, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, made.get());
    made->version_min_ = options.version_min;
    made->ciphers_ = options.ciphers;
    made->clients_ = options.client_certificates;
    made->tickets_outlive_reload_ = options.client_certificates == ClientCertificates::none;
    if (previous != nullptr && previous->tickets_outlive_reload_ && made->tickets_outlive_reload_) {
        std::array<unsigned char, 256> keys{};
        SSL_CTX* old = previous->contexts_.front().get();
        const long size = ::SSL_CTX_get_tlsext_ticket_keys(old, nullptr, 0);
        if (size > 0 && static_cast<std::size_t>(size) <= keys.size() &&
            ::SSL_CTX_get_tlsext_ticket_keys(old, keys.data(), size) == 1) {
            (void)::SSL_CTX_set_tlsext_ticket_keys(first, keys.data(), size);
        }
        ::OPENSSL_cleanse(keys.data(), keys.size());
    }
    return std::shared_ptr<const TlsContext>{std::move(made)};
}

Result<void, TlsProblem> TlsContext::add(const TlsOptions& options, const TlsOptions::Pair& pair) {
    ::ERR_clear_error();  // what is found below is of this pair
    Handle made{::SSL_CTX_new(::TLS_server_method())};
    SSL_CTX* context = made.get();
    if (context == nullptr) return TlsProblem{.what = "OpenSSL: " + openssl_reason(), .hint = {}};
    set_policy(context, options);
    STENTOR_TRY_VOID(set_ciphers(context, options));
    STENTOR_TRY_VOID(load_pair(context, pair));
    STENTOR_TRY_VOID(set_clients(context, options));
    review_.add_pair(context, pair.certificate_file);
    if (options.client_certificates != ClientCertificates::none) {
        // All contexts have the same.
        if (contexts_.empty()) {
            review_.add_clients(context, options.client_ca_file, options.client_crl_file);
        }
        if (!options.client_crl_file.empty()) set_revocation(context, review_);
    }
    contents_ += contents_of(context);
    contexts_.push_back(std::move(made));
    return {};
}

/// Server Name Indication (RFC 6066 section 3): the certificate that is for the host the client
/// wants, if there is one.
int TlsContext::choose_certificate(ssl_st* connection, int* /*alert*/, void* self) {
    const char* host = ::SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
    if (host == nullptr) return SSL_TLSEXT_ERR_NOACK;
    for (const Handle& context : static_cast<const TlsContext*>(self)->contexts_) {
        X509* certificate = ::SSL_CTX_get0_certificate(context.get());
        if (::X509_check_host(certificate, host, 0, 0, nullptr) != 1) continue;
        (void)::SSL_set_SSL_CTX(connection, context.get());
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

ssl_st* TlsContext::new_connection() const { return ::SSL_new(contexts_.front().get()); }

}  // namespace stentor::server
