#include "tests/kit/revocation_list.hpp"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <stdexcept>

namespace stentor::kit {
namespace {

constexpr long kBeganSeconds = 1800;
constexpr long kVersion2 = 1;

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free)>;
using Time = std::unique_ptr<ASN1_TIME, decltype(&::ASN1_TIME_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;

void demand(bool good) {
    if (!good) throw std::runtime_error{"OpenSSL makes no revocation list"};
}

Bio reader(const std::string& text) {
    return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), ::BIO_free};
}

Certificate certificate_of(const std::string& pem) {
    const Bio in = reader(pem);
    Certificate read{::PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), ::X509_free};
    demand(read != nullptr);
    return read;
}

Time from_now(long seconds) { return {::X509_gmtime_adj(nullptr, seconds), ::ASN1_TIME_free}; }

void add(X509_CRL* list, const X509* certificate, const ASN1_TIME* since) {
    X509_REVOKED* entry = ::X509_REVOKED_new();
    demand(::X509_REVOKED_set_serialNumber(
               entry, const_cast<ASN1_INTEGER*>(::X509_get0_serialNumber(certificate))) == 1);
    demand(::X509_REVOKED_set_revocationDate(entry, const_cast<ASN1_TIME*>(since)) == 1);
    demand(::X509_CRL_add0_revoked(list, entry) == 1);
}

}  // namespace

std::string revocation_list(const auth::CertificateMaker& authority,
                            std::chrono::seconds life,
                            const std::vector<std::string>& revoked) {
    const auto pem = authority.authority();
    const Certificate issuer = certificate_of(pem.certificate);
    const Bio key_in = reader(pem.key);
    const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key{
        ::PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr), ::EVP_PKEY_free};
    const std::unique_ptr<X509_CRL, decltype(&::X509_CRL_free)> list{::X509_CRL_new(),
                                                                     ::X509_CRL_free};
    const Time begins = from_now(-kBeganSeconds);
    const Time ends = from_now(life.count());
    demand(key && list && ::X509_CRL_set_version(list.get(), kVersion2) == 1);
    demand(::X509_CRL_set_issuer_name(list.get(), ::X509_get_subject_name(issuer.get())) == 1);
    demand(::X509_CRL_set1_lastUpdate(list.get(), begins.get()) == 1);
    demand(::X509_CRL_set1_nextUpdate(list.get(), ends.get()) == 1);
    for (const std::string& each : revoked) {
        add(list.get(), certificate_of(each).get(), begins.get());
    }
    demand(::X509_CRL_sign(list.get(), key.get(), ::EVP_sha256()) != 0);
    const Bio out{::BIO_new(::BIO_s_mem()), ::BIO_free};
    demand(::PEM_write_bio_X509_CRL(out.get(), list.get()) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace stentor::kit
