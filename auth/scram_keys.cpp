// What both sides of SCRAM-SHA-256 compute.
#include "auth/scram.hpp"
#include "base/assert.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace stentor::auth {
namespace {

const unsigned char* as_unsigned(const std::byte* bytes) noexcept {
    return reinterpret_cast<const unsigned char*>(bytes);
}
unsigned char* as_unsigned(std::byte* bytes) noexcept {
    return reinterpret_cast<unsigned char*>(bytes);
}

}  // namespace

Bytes hmac_sha256(ByteView key, std::string_view text) {
    Bytes out(SHA256_DIGEST_LENGTH);
    const auto* done = HMAC(EVP_sha256(),
                            key.data(),
                            static_cast<int>(key.size()),
                            as_unsigned(as_bytes(text).data()),
                            text.size(),
                            as_unsigned(out.data()),
                            nullptr);
    STENTOR_ASSERT(done != nullptr, "HMAC needs nothing but memory");
    return out;
}

ScramKeys scram_keys(std::string_view password, ByteView salt, std::uint32_t iterations) {
    Bytes salted(SHA256_DIGEST_LENGTH);
    const int derived = PKCS5_PBKDF2_HMAC(password.data(),
                                          static_cast<int>(password.size()),
                                          as_unsigned(salt.data()),
                                          static_cast<int>(salt.size()),
                                          static_cast<int>(iterations),
                                          EVP_sha256(),
                                          SHA256_DIGEST_LENGTH,
                                          as_unsigned(salted.data()));
    STENTOR_ASSERT(derived == 1, "PBKDF2 needs nothing but memory");
    ScramKeys keys;
    keys.client_key = hmac_sha256(salted, "Client Key");
    keys.server_key = hmac_sha256(salted, "Server Key");
    OPENSSL_cleanse(salted.data(), salted.size());
    keys.stored_key.resize(SHA256_DIGEST_LENGTH);
    SHA256(as_unsigned(keys.client_key.data()),
           keys.client_key.size(),
           as_unsigned(keys.stored_key.data()));
    return keys;
}

}  // namespace stentor::auth
