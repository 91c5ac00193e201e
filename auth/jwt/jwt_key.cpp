#include "auth/jwt/jwt_key.hpp"

#include "auth/openssl_free.hpp"
#include "base/assert.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <utility>

namespace stentor::auth {
namespace {

using Bio = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, OpensslFree<X509_free>>;
using Decoder = std::unique_ptr<OSSL_DECODER_CTX, OpensslFree<OSSL_DECODER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;
using Number = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;

struct Curve {
    JwtAlgorithm algorithm;
    std::string_view jwk_name;  // RFC 7518, section 6.2.1.1
    const char* group;          // OpenSSL's name
    std::size_t coordinate_bytes;
};
constexpr std::array<Curve, 3> kCurves{{{JwtAlgorithm::es256, "P-256", "prime256v1", 32},
                                        {JwtAlgorithm::es384, "P-384", "secp384r1", 48},
                                        {JwtAlgorithm::es512, "P-521", "secp521r1", 66}}};

const EVP_MD* digest_of(JwtAlgorithm algorithm) noexcept {
    switch (hash_bytes(algorithm)) {
        case 32:
            return EVP_sha256();
        case 48:
            return EVP_sha384();
        default:
            return EVP_sha512();
    }
}

const unsigned char* data_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}
const unsigned char* data_of(ByteView bytes) noexcept {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// r and s of RFC 7518, section 3.4, as OpenSSL wants them; empty: they have not the right size.
Bytes der_of(ByteView signature, std::size_t coordinate_bytes) {
    if (signature.size() != 2 * coordinate_bytes) return {};
    const int size = static_cast<int>(coordinate_bytes);
    Number r{BN_bin2bn(data_of(signature), size, nullptr)};
    Number s{BN_bin2bn(data_of(signature.subspan(coordinate_bytes)), size, nullptr)};
    const EcSignature pair{ECDSA_SIG_new()};
    if (!r || !s || !pair) return {};
    if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
    (void)r.release();
    (void)s.release();
    unsigned char* der = nullptr;
    const int length = i2d_ECDSA_SIG(pair.get(), &der);
    if (length <= 0) return {};
    const std::unique_ptr<unsigned char, OpensslFree<[](unsigned char* at) { OPENSSL_free(at); }>>
        owner{der};
    const ByteView bytes = std::as_bytes(std::span{der, static_cast<std::size_t>(length)});
    return to_owned(bytes);
}

}  // namespace

void JwtKey::FreeKey::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

JwtKey::JwtKey(JwtKey&&) noexcept = default;
JwtKey& JwtKey::operator=(JwtKey&&) noexcept = default;
JwtKey::~JwtKey() {
    if (!secret_.empty()) OPENSSL_cleanse(secret_.data(), secret_.size());
}

Result<JwtKey, KeyMistake> JwtKey::from_secret(std::string_view secret) {
    if (secret.size() < kSecretBytesMin || secret.size() > kSecretBytesMax) {
        return KeyMistake{.what = "the secret has " + std::to_string(secret.size()) +
                                  " bytes, between " + std::to_string(kSecretBytesMin) + " and " +
                                  std::to_string(kSecretBytesMax) +
                                  " are needed (RFC 7518, section 3.2)",
                          .hint = "`openssl rand -base64 48` makes a good one"};
    }
    JwtKey key;
    key.secret_ = to_owned(as_bytes(secret));
    for (const JwtAlgorithm each :
         {JwtAlgorithm::hs256, JwtAlgorithm::hs384, JwtAlgorithm::hs512}) {
        if (secret.size() >= hash_bytes(each)) key.algorithms_.add(each);
    }
    key.description_ = "secret of " + std::to_string(secret.size()) + " bytes";
    return key;
}

Result<JwtKey, KeyMistake> JwtKey::from_pem(std::string_view text) {
    if (text.find("PRIVATE KEY-----") != std::string_view::npos) {
        return KeyMistake{.what = "this is a private key, which the broker does not need",
                          .hint = "`openssl pkey -in FILE -pubout` writes the public half"};
    }
    const auto first = text.find("-----BEGIN ");
    if (first != std::string_view::npos &&
        text.find("-----BEGIN ", first + 1) != std::string_view::npos) {
        return KeyMistake{.what = "there is more than one key in it",
                          .hint = "several keys go into a JWKS (auth.jwt.jwks_file)"};
    }
    const Bio bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    PublicKey key;
    if (text.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos) {
        const Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
        if (certificate) key.reset(X509_get_pubkey(certificate.get()));
    } else {
        // Unlike PEM_read_bio_PUBKEY() this reads "RSA PUBLIC KEY" as well.
        EVP_PKEY* found = nullptr;
        const Decoder decoder{OSSL_DECODER_CTX_new_for_pkey(
            &found, "PEM", nullptr, nullptr, EVP_PKEY_PUBLIC_KEY, nullptr, nullptr)};
        if (decoder && OSSL_DECODER_from_bio(decoder.get(), bio.get()) == 1) key.reset(found);
    }
    ERR_clear_error();
    if (!key) {
        return KeyMistake{.what = "there is no public key in it that OpenSSL can read",
                          .hint =
                              "it begins with -----BEGIN PUBLIC KEY----- or "
                              "-----BEGIN CERTIFICATE-----"};
    }
    return from_public(std::move(key));
}

Result<JwtKey, KeyMistake> JwtKey::from_public(PublicKey public_key) {
    JwtKey key;
    if (EVP_PKEY_is_a(public_key.get(), "RSA") == 1) {
        const auto bits = static_cast<std::size_t>(EVP_PKEY_get_bits(public_key.get()));
        if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
            return KeyMistake{.what = "an RSA key of " + std::to_string(bits) + " bits, between " +
                                      std::to_string(kRsaBitsMin) + " and " +
                                      std::to_string(kRsaBitsMax) + " are needed",
                              .hint = "make a new one and sign tokens with it"};
        }
        for (auto each = JwtAlgorithm::rs256; each <= JwtAlgorithm::ps512;
             each = static_cast<JwtAlgorithm>(static_cast<std::uint8_t>(each) + 1U)) {
            key.algorithms_.add(each);
        }
        key.description_ = "RSA, " + std::to_string(bits) + " bits";
    } else if (EVP_PKEY_is_a(public_key.get(), "EC") == 1) {
        std::array<char, 64> group{};
        (void)EVP_PKEY_get_group_name(public_key.get(), group.data(), group.size(), nullptr);
        const std::string_view name{group.data()};
        for (const Curve& curve : kCurves) {
            if (name != curve.group) continue;
            key.algorithms_.add(curve.algorithm);
            key.description_ = "EC " + std::string{curve.jwk_name};
        }
        if (key.description_.empty()) {
            return KeyMistake{.what = "an EC key on the curve " + std::string{name},
                              .hint = "ES256, ES384 and ES512 want P-256, P-384 and P-521",
                              .is_foreign = true};
        }
    } else {
        return KeyMistake{.what = "neither an RSA nor an EC key",
                          .hint = "tokens are verified with RS, PS, ES or HS algorithms",
                          .is_foreign = true};
    }
    key.key_ = std::move(public_key);
    return key;
}

bool JwtKey::verify(JwtAlgorithm algorithm,
                    std::string_view signed_text,
                    ByteView signature) const {
    STENTOR_ASSERT(fits(algorithm), "a token does not choose what a key is used for");
    const bool good = family_of(algorithm) == JwtFamily::hmac
                          ? verify_hmac(algorithm, signed_text, signature)
                          : verify_public(algorithm, signed_text, signature);
    ERR_clear_error();  // a wrong signature leaves entries in the thread's queue
    return good;
}

bool JwtKey::verify_hmac(JwtAlgorithm algorithm,
                         std::string_view signed_text,
                         ByteView signature) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> expected{};
    unsigned size = 0;
    if (HMAC(digest_of(algorithm),
             secret_.data(),
             static_cast<int>(secret_.size()),
             data_of(signed_text),
             signed_text.size(),
             expected.data(),
             &size) == nullptr) {
        return false;
    }
    return signature.size() == size && CRYPTO_memcmp(expected.data(), signature.data(), size) == 0;
}

bool JwtKey::verify_public(JwtAlgorithm algorithm,
                           std::string_view signed_text,
                           ByteView signature) const {
    const JwtFamily family = family_of(algorithm);
    Bytes der;
    if (family == JwtFamily::ecdsa) {
        const auto index =
            static_cast<std::size_t>(algorithm) - static_cast<std::size_t>(JwtAlgorithm::es256);
        der = der_of(signature, kCurves.at(index).coordinate_bytes);
        if (der.empty()) return false;
        signature = der;
    }
    const DigestContext context{EVP_MD_CTX_new()};
    EVP_PKEY_CTX* parameters = nullptr;
    if (!context ||
        EVP_DigestVerifyInit(
            context.get(), &parameters, digest_of(algorithm), nullptr, key_.get()) != 1) {
        return false;
    }
    if (family == JwtFamily::rsa_pss &&
        (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) != 1)) {
        return false;
    }
    return EVP_DigestVerify(context.get(),
                            data_of(signature),
                            signature.size(),
                            data_of(signed_text),
                            signed_text.size()) == 1;
}

}  // namespace stentor::auth
