#pragma once
// Makes a certificate authority and certificates that it signs: for a first start (`stentor init`)
// and for tests. ECDSA on P-256, SHA-256. Pure, but for OpenSSL's randomness. Any thread.

#include "base/result.hpp"

#include <chrono>
#include <memory>
#include <span>
#include <string>

struct evp_pkey_st;
struct x509_st;

namespace stentor::auth {

/// PEM texts.
struct CertificateAndKey {
    std::string certificate;
    std::string key;
};

class CertificateMaker {
  public:
    /// A new authority, valid for `life` from now. Fails with OpenSSL's reason.
    [[nodiscard]] static Result<CertificateMaker, std::string> make(const std::string& name,
                                                                    std::chrono::hours life);
    /// One that was made before.
    [[nodiscard]] static Result<CertificateMaker, std::string> load(const CertificateAndKey& pem);

    CertificateMaker(CertificateMaker&&) noexcept;
    CertificateMaker& operator=(CertificateMaker&&) noexcept;
    ~CertificateMaker();

    [[nodiscard]] CertificateAndKey authority() const;

    /// For a server that is reached as any of `hosts`: names and numeric addresses, at least one.
    [[nodiscard]] Result<CertificateAndKey, std::string> for_server(
        std::span<const std::string> hosts, std::chrono::hours life) const;
    /// For the client `name`, which becomes its user name.
    [[nodiscard]] Result<CertificateAndKey, std::string> for_client(const std::string& name,
                                                                    std::chrono::hours life) const;

  private:
    struct Free {
        void operator()(evp_pkey_st* key) const noexcept;
        void operator()(x509_st* certificate) const noexcept;
    };
    struct Wanted;
    using Key = std::unique_ptr<evp_pkey_st, Free>;
    using Certificate = std::unique_ptr<x509_st, Free>;

    CertificateMaker(Certificate certificate, Key key) noexcept;
    [[nodiscard]] static Result<Certificate, std::string> sign(const Wanted& wanted,
                                                               evp_pkey_st* subject,
                                                               x509_st* issuer,
                                                               evp_pkey_st* issuer_key);
    [[nodiscard]] Result<CertificateAndKey, std::string> issue(const Wanted& wanted) const;

    Certificate certificate_;
    Key key_;
};

}  // namespace stentor::auth
