#include "tests/kit/authority_below.hpp"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

namespace stentor::kit {
namespace {

constexpr long kBeganSeconds = 3600;
constexpr long kVersion3 = 2;

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;

void demand(bool good) {
    if (!good) throw std::runtime_error{"OpenSSL makes no authority"};
}

struct Pair {
    Certificate certificate{nullptr, ::X509_free};
    Key key{nullptr, ::EVP_PKEY_free};
};

Bio reader(const std::string& text) {
    return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), ::BIO_free};
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

void add_extension(X509* to, X509* issuer, int kind, const char* value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&::X509_EXTENSION_free)> made{
        ::X509V3_EXT_conf_nid(nullptr, &context, kind, value), ::X509_EXTENSION_free};
    demand(made != nullptr && ::X509_add_ext(to, made.get(), -1) == 1);
}

Pair read(const auth::CertificateAndKey& pem) {
    const Bio certificate = reader(pem.certificate);
    const Bio key = reader(pem.key);
    Pair pair;
    pair.certificate.reset(::PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
    pair.key.reset(::PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    demand(pair.certificate && pair.key);
    return pair;
}

auth::CertificateMaker maker_of(const Pair& pair) {
    const Bio certificate{::BIO_new(::BIO_s_mem()), ::BIO_free};
    const Bio key{::BIO_new(::BIO_s_mem()), ::BIO_free};
    demand(::PEM_write_bio_X509(certificate.get(), pair.certificate.get()) == 1 &&
           ::PEM_write_bio_PrivateKey(
               key.get(), pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    auto maker = auth::CertificateMaker::load({text_of(certificate.get()), text_of(key.get())});
    demand(maker.has_value());
    return *std::move(maker);
}

/// `above` is null: signed by itself.
auth::CertificateMaker make(const std::string& name, std::chrono::seconds life, const Pair* above) {
    const Pair made{Certificate{::X509_new(), ::X509_free},
                    Key{EVP_EC_gen("P-256"), ::EVP_PKEY_free}};
    demand(made.certificate && made.key);
    const Pair& issuer = above != nullptr ? *above : made;
    X509* certificate = made.certificate.get();
    const auto* common_name = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME* subject = ::X509_get_subject_name(certificate);
    demand(::X509_set_version(certificate, kVersion3) == 1 &&
           ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1) == 1 &&
           ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, common_name, -1, -1, 0) == 1);
    demand(::X509_set_issuer_name(certificate, ::X509_get_subject_name(issuer.certificate.get())) ==
               1 &&
           ::X509_set_pubkey(certificate, made.key.get()) == 1);
    (void)::X509_gmtime_adj(::X509_getm_notBefore(certificate), -kBeganSeconds);
    (void)::X509_gmtime_adj(::X509_getm_notAfter(certificate), life.count());
    X509* signer = issuer.certificate.get();
    add_extension(certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(certificate, signer, NID_subject_key_identifier, "hash");
    demand(::X509_sign(certificate, issuer.key.get(), ::EVP_sha256()) != 0);
    return maker_of(made);
}

}  // namespace

auth::CertificateMaker authority_above(const std::string& name, std::chrono::seconds life) {
    return make(name, life, nullptr);
}

auth::CertificateMaker authority_below(const auth::CertificateMaker& above,
                                       const std::string& name,
                                       std::chrono::seconds life) {
    const Pair issuer = read(above.authority());
    return make(name, life, &issuer);
}

}  // namespace stentor::kit
