#include "auth/certificate_maker.hpp"

#include "base/random.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>
#include <vector>

namespace stentor::auth {

namespace {

constexpr long kVersion3 = 2;
constexpr long kClockSkewSeconds = 3600;   // devices whose clock is behind
constexpr std::size_t kNameBytesMax = 64;  // ub-common-name, RFC 5280 appendix A

std::string openssl_reason() {
    const char* reason = ::ERR_reason_error_string(::ERR_peek_error());
    std::string text = reason != nullptr ? reason : "OpenSSL failed";
    ::ERR_clear_error();
    return text;
}

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free_all)>;

Bio reader(const std::string& text) {
    return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &::BIO_free_all};
}

template <class Write>
std::string to_pem(Write write) {
    const Bio bio{::BIO_new(::BIO_s_mem()), &::BIO_free_all};
    if (!bio || write(bio.get()) != 1) return {};
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
    return to_pem([&](BIO* to) { return ::PEM_write_bio_X509(to, certificate); });
}

std::string pem_of(EVP_PKEY* key) {
    return to_pem([&](BIO* to) {
        return ::PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
}

bool is_address(const std::string& host) {
    const std::unique_ptr<ASN1_OCTET_STRING, decltype(&::ASN1_OCTET_STRING_free)> address{
        ::a2i_IPADDRESS(host.c_str()), &::ASN1_OCTET_STRING_free};
    return address != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    if (extension == nullptr) return false;
    const int added = ::X509_add_ext(certificate, extension, -1);
    ::X509_EXTENSION_free(extension);
    return added == 1;
}

/// 127 random bits (RFC 5280 4.1.2.2: positive, at most 20 octets).
bool set_serial(X509* certificate) {
    std::array<unsigned char, 16> bytes{};
    random_bytes(std::as_writable_bytes(std::span{bytes}));
    bytes[0] &= 0x7FU;
    const std::unique_ptr<BIGNUM, decltype(&::BN_free)> number{
        ::BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr), &::BN_free};
    return number &&
           ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509* certificate, const std::string& name) {
    return ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(certificate),
                                        "CN",
                                        MBSTRING_UTF8,
                                        reinterpret_cast<const unsigned char*>(name.data()),
                                        static_cast<int>(name.size()),
                                        -1,
                                        0) == 1;
}

}  // namespace

struct CertificateMaker::Wanted {
    std::string name;
    std::chrono::hours life{};
    std::vector<std::pair<int, std::string>> extensions;
};

void CertificateMaker::Free::operator()(evp_pkey_st* key) const noexcept { ::EVP_PKEY_free(key); }
void CertificateMaker::Free::operator()(x509_st* certificate) const noexcept {
    ::X509_free(certificate);
}

CertificateMaker::CertificateMaker(Certificate certificate, Key key) noexcept
    : certificate_{std::move(certificate)}, key_{std::move(key)} {}
CertificateMaker::CertificateMaker(CertificateMaker&&) noexcept = default;
CertificateMaker& CertificateMaker::operator=(CertificateMaker&&) noexcept = default;
CertificateMaker::~CertificateMaker() = default;

Result<CertificateMaker::Certificate, std::string> CertificateMaker::sign(const Wanted& wanted,
                                                                          evp_pkey_st* subject,
                                                                          x509_st* issuer,
                                                                          evp_pkey_st* issuer_key) {
    if (wanted.name.empty() || wanted.name.size() > kNameBytesMax) {
        return std::string{"a name has 1 to 64 bytes"};
    }
    Certificate made{::X509_new()};
    X509* signer = issuer != nullptr ? issuer : made.get();
    bool good = made && ::X509_set_version(made.get(), kVersion3) == 1 && set_serial(made.get()) &&
                set_name(made.get(), wanted.name) &&
                ::X509_gmtime_adj(X509_getm_notBefore(made.get()), -kClockSkewSeconds) != nullptr &&
                ::X509_gmtime_adj(X509_getm_notAfter(made.get()),
                                  std::chrono::seconds{wanted.life}.count()) != nullptr &&
                ::X509_set_issuer_name(made.get(), ::X509_get_subject_name(signer)) == 1 &&
                ::X509_set_pubkey(made.get(), subject) == 1;
    for (const auto& [kind, value] : wanted.extensions) {
        good = good && add_extension(made.get(), signer, kind, value);
    }
    if (!good || ::X509_sign(made.get(), issuer_key, ::EVP_sha256()) == 0) return openssl_reason();
    return made;
}

Result<CertificateMaker, std::string> CertificateMaker::make(const std::string& name,
                                                             std::chrono::hours life) {
    Key key{EVP_EC_gen("P-256")};
    if (!key) return openssl_reason();
    const Wanted wanted{.name = name,
                        .life = life,
                        .extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                       {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                       {NID_subject_key_identifier, "hash"}}};
    STENTOR_TRY(Certificate made, sign(wanted, key.get(), nullptr, key.get()));
    return CertificateMaker{std::move(made), std::move(key)};
}

Result<CertificateMaker, std::string> CertificateMaker::load(const CertificateAndKey& pem) {
    const Bio certificate_bio = reader(pem.certificate);
    const Bio key_bio = reader(pem.key);
    Certificate certificate{::PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr)};
    Key key{::PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr)};
    if (!certificate || !key) return openssl_reason();
    if (::X509_check_private_key(certificate.get(), key.get()) != 1) {
        return std::string{"the key belongs to another certificate"};
    }
    return CertificateMaker{std::move(certificate), std::move(key)};
}

CertificateAndKey CertificateMaker::authority() const {
    return {.certificate = pem_of(certificate_.get()), .key = pem_of(key_.get())};
}

Result<CertificateAndKey, std::string> CertificateMaker::issue(const Wanted& wanted) const {
    const Key key{EVP_EC_gen("P-256")};
    if (!key) return {boost::system::in_place_error, openssl_reason()};
    STENTOR_TRY(const Certificate made, sign(wanted, key.get(), certificate_.get(), key_.get()));
    return CertificateAndKey{.certificate = pem_of(made.get()), .key = pem_of(key.get())};
}

Result<CertificateAndKey, std::string> CertificateMaker::for_server(
    std::span<const std::string> hosts, std::chrono::hours life) const {
    if (hosts.empty()) return {boost::system::in_place_error, "a server has a name"};
    std::string names;
    for (const std::string& host : hosts) {
        if (host.find_first_of(",\n") != std::string::npos || host.empty()) {
            return {boost::system::in_place_error, '"' + host + "\" is no host"};
        }
        names.append(names.empty() ? "" : ",").append(is_address(host) ? "IP:" : "DNS:") += host;
    }
    return issue({.name = hosts.front().substr(0, kNameBytesMax),
                  .life = life,
                  .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                                 {NID_key_usage, "critical,digitalSignature"},
                                 {NID_ext_key_usage, "serverAuth"},
                                 {NID_subject_alt_name, names},
                                 {NID_authority_key_identifier, "keyid:always"}}});
}

Result<CertificateAndKey, std::string> CertificateMaker::for_client(const std::string& name,
                                                                    std::chrono::hours life) const {
    return issue({.name = name,
                  .life = life,
                  .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                                 {NID_key_usage, "critical,digitalSignature"},
                                 {NID_ext_key_usage, "clientAuth"},
                                 {NID_authority_key_identifier, "keyid:always"}}});
}

}  // namespace stentor::auth
