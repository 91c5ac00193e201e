#include "auth/password_hash.hpp"

#include "auth/scram.hpp"
#include "base/base64.hpp"
#include "base/random.hpp"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace stentor::auth {
namespace {

// OWASP's second choice for Argon2id (19 MiB, two passes): about 30 ms on one core.
constexpr std::uint32_t kMemoryKib = 19 * 1024;
constexpr std::uint32_t kPasses = 2;
constexpr std::uint32_t kLanes = 1;
constexpr std::size_t kSaltBytes = 16;
constexpr std::string_view kScramPrefix = "$scram-sha-256$";
constexpr std::size_t kHashBytes = 32;

// RFC 7677 asks for 4096 at least. The client pays for it, once per connection: 10 ms on a phone.
constexpr std::uint32_t kScramIterations = 32'768;

constexpr std::uint32_t kMemoryKibMax = 1024 * 1024;
constexpr std::uint32_t kPassesMax = 64;
constexpr std::uint32_t kLanesMax = 64;
constexpr std::uint32_t kIterationsMax = 10'000'000;

/// Cuts the text before the next '$' from the front; nothing at the end.
std::optional<std::string_view> take_field(std::string_view& rest) noexcept {
    if (rest.empty()) return std::nullopt;
    const auto end = std::min(rest.find('$'), rest.size());
    const std::string_view field = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return field;
}

/// Reads "m=19456" where `name` is "m="; 0 if it is anything else.
std::uint32_t parameter(std::string_view text, std::string_view name) noexcept {
    if (!text.starts_with(name)) return 0;
    text.remove_prefix(name.size());
    std::uint32_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return read.ec == std::errc{} && read.ptr == text.data() + text.size() ? value : 0;
}

const unsigned char* as_unsigned(ByteView bytes) noexcept {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* as_unsigned(MutableByteView bytes) noexcept {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace

Result<PasswordHash, const char*> PasswordHash::parse(std::string_view encoded) {
    PasswordHash hash;
    std::string_view rest = encoded;
    auto padding = Padding::required;
    std::size_t hash_bytes = SHA512_DIGEST_LENGTH;
    if (rest.starts_with("$6$")) {
        hash.kind_ = HashKind::salted_sha512;
        rest.remove_prefix(3);
    } else if (rest.starts_with("$7$")) {
        hash.kind_ = HashKind::pbkdf2_sha512;
        rest.remove_prefix(3);
        hash.iterations_ = parameter(take_field(rest).value_or(""), "");
        if (hash.iterations_ == 0 || hash.iterations_ > kIterationsMax) {
            return "the number of iterations is not between 1 and 10000000";
        }
    } else if (rest.starts_with("$argon2id$v=19$")) {
        hash.kind_ = HashKind::argon2id;
        rest.remove_prefix(std::string_view{"$argon2id$v=19$"}.size());
        const std::string_view cost = take_field(rest).value_or("");
        const auto first = std::min(cost.find(','), cost.size());
        const auto second = std::min(cost.find(',', first + 1), cost.size());
        hash.memory_kib_ = parameter(cost.substr(0, first), "m=");
        hash.iterations_ = parameter(cost.substr(first, second - first), ",t=");
        hash.lanes_ = parameter(cost.substr(second), ",p=");
        if (hash.lanes_ == 0 || hash.lanes_ > kLanesMax || hash.memory_kib_ < 8 * hash.lanes_ ||
            hash.memory_kib_ > kMemoryKibMax || hash.iterations_ == 0 ||
            hash.iterations_ > kPassesMax) {
            return "the cost parameters of the Argon2id hash are missing or out of range";
        }
        padding = Padding::absent;
        hash_bytes = 0;  // any
    } else if (rest.starts_with(kScramPrefix)) {
        rest.remove_prefix(kScramPrefix.size());
        return parse_scram(rest);
    } else {
        return "not a hash that stentor knows ($argon2id$, $scram-sha-256$, $7$ or $6$)";
    }
    auto salt = from_base64(take_field(rest).value_or(""), padding);
    auto digest = from_base64(take_field(rest).value_or(""), padding);
    if (!salt || !digest || !rest.empty() || encoded.ends_with('$')) {
        return "salt or hash is not base64";
    }
    if (salt->empty() || (hash_bytes == 0 && salt->size() < 8)) return "the salt is too short";
    if (hash_bytes == 0 ? digest->size() < 16 || digest->size() > 64
                        : digest->size() != hash_bytes) {
        return "the hash has the wrong length";
    }
    hash.salt_ = *std::move(salt);
    hash.hash_ = *std::move(digest);
    return hash;
}

Result<PasswordHash, const char*> PasswordHash::parse_scram(std::string_view rest) {
    PasswordHash hash;
    hash.kind_ = HashKind::scram_sha256;
    hash.iterations_ = parameter(take_field(rest).value_or(""), "");
    if (hash.iterations_ == 0 || hash.iterations_ > kIterationsMax) {
        return "the number of iterations is not between 1 and 10000000";
    }
    auto salt = from_base64(take_field(rest).value_or(""));
    auto stored = from_base64(take_field(rest).value_or(""));
    auto server = from_base64(rest);
    if (!salt || !stored || !server) return "salt or key is not base64";
    if (salt->empty()) return "the salt is too short";
    if (stored->size() != kHashBytes || server->size() != kHashBytes) {
        return "a key has the wrong length";
    }
    hash.salt_ = *std::move(salt);
    hash.hash_ = *std::move(stored);
    hash.server_key_ = *std::move(server);
    return hash;
}

Result<PasswordHash, const char*> PasswordHash::make_scram(std::string_view password) {
    const bool control = std::any_of(password.begin(), password.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20U || c == 0x7F;
    });
    if (control) return "a SCRAM password must not contain control characters";
    PasswordHash hash;
    hash.kind_ = HashKind::scram_sha256;
    hash.iterations_ = kScramIterations;
    hash.salt_.resize(kSaltBytes);
    random_bytes(hash.salt_);
    ScramKeys keys = scram_keys(password, hash.salt_, hash.iterations_);
    OPENSSL_cleanse(keys.client_key.data(), keys.client_key.size());
    hash.hash_ = std::move(keys.stored_key);
    hash.server_key_ = std::move(keys.server_key);
    return hash;
}

Result<PasswordHash, const char*> PasswordHash::make(std::string_view password) {
    PasswordHash hash;
    hash.memory_kib_ = kMemoryKib;
    hash.iterations_ = kPasses;
    hash.lanes_ = kLanes;
    hash.salt_.resize(kSaltBytes);
    random_bytes(hash.salt_);
    hash.hash_ = hash.digest(password, kHashBytes);
    if (hash.hash_.empty()) return "not enough memory to hash the password";
    return hash;
}

Bytes PasswordHash::digest(std::string_view password, std::size_t size) const {
    Bytes out(size);
    bool done = false;
    switch (kind_) {
        case HashKind::argon2id:
            done = argon2id_hash_raw(iterations_,
                                     memory_kib_,
                                     lanes_,
                                     password.data(),
                                     password.size(),
                                     salt_.data(),
                                     salt_.size(),
                                     out.data(),
                                     out.size()) == ARGON2_OK;
            break;
        case HashKind::pbkdf2_sha512:
            done = PKCS5_PBKDF2_HMAC(password.data(),
                                     static_cast<int>(password.size()),
                                     as_unsigned(ByteView{salt_}),
                                     static_cast<int>(salt_.size()),
                                     static_cast<int>(iterations_),
                                     EVP_sha512(),
                                     static_cast<int>(out.size()),
                                     as_unsigned(MutableByteView{out})) == 1;
            break;
        case HashKind::salted_sha512: {
            std::vector<char> salted(password.begin(), password.end());
            const std::string_view salt = as_text(salt_);
            salted.insert(salted.end(), salt.begin(), salt.end());
            done = EVP_Digest(salted.data(),
                              salted.size(),
                              as_unsigned(MutableByteView{out}),
                              nullptr,
                              EVP_sha512(),
                              nullptr) == 1;
            OPENSSL_cleanse(salted.data(), salted.size());
            break;
        }
        case HashKind::scram_sha256:
            out = scram_keys(password, salt_, iterations_).stored_key;
            done = true;
            break;
    }
    if (!done) out.clear();
    return out;
}

bool PasswordHash::verify(std::string_view password) const {
    const Bytes candidate = digest(password, hash_.size());
    return candidate.size() == hash_.size() &&
           CRYPTO_memcmp(candidate.data(), hash_.data(), hash_.size()) == 0;
}

PasswordHash PasswordHash::decoy() const {
    // Random bytes are the hash of no password that anybody will find.
    PasswordHash other = *this;
    random_bytes(other.salt_);
    random_bytes(other.hash_);
    return other;
}

std::uint64_t PasswordHash::cost() const noexcept {
    switch (kind_) {
        case HashKind::argon2id:
            return std::uint64_t{memory_kib_} * iterations_;
        // One iteration takes about as long as Argon2id takes for one KiB.
        case HashKind::pbkdf2_sha512:
        case HashKind::scram_sha256:
            return iterations_;
        case HashKind::salted_sha512:
            return 1;
    }
    return 0;
}

std::string PasswordHash::encoded() const {
    switch (kind_) {
        case HashKind::argon2id:
            return "$argon2id$v=19$m=" + std::to_string(memory_kib_) +
                   ",t=" + std::to_string(iterations_) + ",p=" + std::to_string(lanes_) + '$' +
                   base64(salt_, Padding::absent) + '$' + base64(hash_, Padding::absent);
        case HashKind::pbkdf2_sha512:
            return "$7$" + std::to_string(iterations_) + '$' + base64(salt_, Padding::required) +
                   '$' + base64(hash_, Padding::required);
        case HashKind::salted_sha512:
            return "$6$" + base64(salt_, Padding::required) + '$' +
                   base64(hash_, Padding::required);
        case HashKind::scram_sha256:
            return std::string{kScramPrefix} + std::to_string(iterations_) + '$' + base64(salt_) +
                   '$' + base64(hash_) + '$' + base64(server_key_);
    }
    return {};
}

}  // namespace stentor::auth
