#include "auth/jwt/token_maker.hpp"

#include "base/assert.hpp"
#include "base/base64.hpp"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <utility>

namespace stentor::auth {
namespace {

EVP_PKEY* pkey(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

const EVP_MD* digest_of(JwtAlgorithm algorithm) {
    return hash_bytes(algorithm) == 32   ? EVP_sha256()
           : hash_bytes(algorithm) == 48 ? EVP_sha384()
                                         : EVP_sha512();
}

const unsigned char* data_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Bytes bytes_of(const BIGNUM* number, std::size_t size) {
    std::string out(size, '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size));
    return to_owned(as_bytes(out));
}

std::string number(EVP_PKEY* key, const char* name, std::size_t size) {
    BIGNUM* value = nullptr;
    STENTOR_ASSERT(EVP_PKEY_get_bn_param(key, name, &value) == 1);
    if (size == 0) size = static_cast<std::size_t>(BN_num_bytes(value));
    std::string text = base64url(bytes_of(value, size));
    BN_free(value);
    return text;
}

std::string read_all(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text{data, static_cast<std::size_t>(size)};
    BIO_free(bio);
    return text;
}

std::size_t coordinate_bytes(std::string_view curve) {
    return curve == "P-256" ? 32 : curve == "P-384" ? 48 : 66;
}

}  // namespace

TestKey TestKey::rsa(unsigned bits) {
    TestKey key;
    key.key_ = {EVP_RSA_gen(bits), EVP_PKEY_free};
    return key;
}

TestKey TestKey::ec(const char* curve) {
    TestKey key;
    key.curve_ = curve;
    key.key_ = {EVP_EC_gen(curve), EVP_PKEY_free};
    return key;
}

TestKey TestKey::secret(std::string bytes) {
    TestKey key;
    key.secret_ = std::move(bytes);
    return key;
}

std::string TestKey::public_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    STENTOR_ASSERT(PEM_write_bio_PUBKEY(bio, pkey(key_)) == 1);
    return read_all(bio);
}

std::string TestKey::private_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    STENTOR_ASSERT(
        PEM_write_bio_PrivateKey(bio, pkey(key_), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return read_all(bio);
}

std::string TestKey::jwk(std::string_view more) const {
    std::string members;
    if (!secret_.empty()) {
        members = R"("kty":"oct","k":")" + base64url(as_bytes(secret_)) + '"';
    } else if (curve_.empty()) {
        members = R"("kty":"RSA","n":")" + number(pkey(key_), OSSL_PKEY_PARAM_RSA_N, 0) +
                  R"(","e":")" + number(pkey(key_), OSSL_PKEY_PARAM_RSA_E, 0) + '"';
    } else {
        const std::size_t size = coordinate_bytes(curve_);
        members = R"("kty":"EC","crv":")" + curve_ + R"(","x":")" +
                  number(pkey(key_), OSSL_PKEY_PARAM_EC_PUB_X, size) + R"(","y":")" +
                  number(pkey(key_), OSSL_PKEY_PARAM_EC_PUB_Y, size) + '"';
    }
    return '{' + members + std::string{more} + '}';
}

Bytes TestKey::sign(JwtAlgorithm algorithm, std::string_view text) const {
    std::string out(2048, '\0');
    auto* const to = reinterpret_cast<unsigned char*>(out.data());
    if (!secret_.empty()) {
        unsigned size = 0;
        HMAC(digest_of(algorithm),
             secret_.data(),
             static_cast<int>(secret_.size()),
             data_of(text),
             text.size(),
             to,
             &size);
        return to_owned(as_bytes(std::string_view{out}.substr(0, size)));
    }
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* parameters = nullptr;
    STENTOR_ASSERT(
        EVP_DigestSignInit(context, &parameters, digest_of(algorithm), nullptr, pkey(key_)) == 1);
    if (family_of(algorithm) == JwtFamily::rsa_pss) {
        EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
    }
    std::size_t size = out.size();
    STENTOR_ASSERT(EVP_DigestSign(context, to, &size, data_of(text), text.size()) == 1);
    EVP_MD_CTX_free(context);
    if (curve_.empty()) return to_owned(as_bytes(std::string_view{out}.substr(0, size)));
    const unsigned char* from = to;
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &from, static_cast<long>(size));
    Bytes signature = bytes_of(ECDSA_SIG_get0_r(pair), coordinate_bytes(curve_));
    const Bytes s = bytes_of(ECDSA_SIG_get0_s(pair), coordinate_bytes(curve_));
    signature.insert(signature.end(), s.begin(), s.end());
    ECDSA_SIG_free(pair);
    return signature;
}

std::string make_token(const TestKey& key,
                       JwtAlgorithm algorithm,
                       std::string_view header,
                       std::string_view claims) {
    const std::string text = base64url(as_bytes(header)) + '.' + base64url(as_bytes(claims));
    return text + '.' + base64url(key.sign(algorithm, text));
}

std::string make_token(const TestKey& key, JwtAlgorithm algorithm, std::string_view claims) {
    return make_token(key,
                      algorithm,
                      R"({"typ":"JWT","alg":")" + std::string{name_of(algorithm)} + "\"}",
                      claims);
}

}  // namespace stentor::auth
