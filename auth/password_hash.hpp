#pragma once
// One password hash: Argon2id or SCRAM-SHA-256's keys as we write them, PBKDF2 and salted SHA-512
// as Mosquitto wrote them. Verifying is slow on purpose (tens of milliseconds, 19 MiB for
// Argon2id): never on a shard. Immutable value; any thread.

#include "base/bytes.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::auth {

enum class HashKind : std::uint8_t {
    argon2id,       // $argon2id$v=19$m=...,t=...,p=...$salt$hash
    pbkdf2_sha512,  // $7$iterations$salt$hash
    salted_sha512,  // $6$salt$hash
    scram_sha256,   // $scram-sha-256$iterations$salt$stored key$server key
};

class PasswordHash {
  public:
    /// Reads an encoded hash; fails with what is wrong with it, for people. Parameters that would
    /// keep a core busy for minutes or take gigabytes are refused.
    [[nodiscard]] static Result<PasswordHash, const char*> parse(std::string_view encoded);

    /// A new Argon2id hash of `password` with a random salt. Fails only without memory for it.
    [[nodiscard]] static Result<PasswordHash, const char*> make(std::string_view password);

    /// The same for SCRAM-SHA-256: weaker against who steals the file, but the password need not
    /// travel. Fails if SCRAM cannot carry the password (control characters).
    [[nodiscard]] static Result<PasswordHash, const char*> make_scram(std::string_view password);

    /// Takes as long for a wrong password as for the right one.
    [[nodiscard]] bool verify(std::string_view password) const;

    /// A hash that costs the same to verify and that no password has: for users who do not exist.
    [[nodiscard]] PasswordHash decoy() const;

    [[nodiscard]] HashKind kind() const noexcept { return kind_; }

    // Of a HashKind::scram_sha256.
    [[nodiscard]] std::uint32_t iterations() const noexcept { return iterations_; }
    [[nodiscard]] const Bytes& salt() const noexcept { return salt_; }
    [[nodiscard]] const Bytes& stored_key() const noexcept { return hash_; }
    [[nodiscard]] const Bytes& server_key() const noexcept { return server_key_; }

    /// Comparable between hashes of any kind: about the time that verify() takes.
    [[nodiscard]] std::uint64_t cost() const noexcept;
    /// Whether verify() takes the same time, as near as can be.
    [[nodiscard]] bool costs_like(const PasswordHash& other) const noexcept {
        return kind_ == other.kind_ && cost() == other.cost();
    }
    [[nodiscard]] std::string encoded() const;

  private:
    PasswordHash() = default;

    [[nodiscard]] static Result<PasswordHash, const char*> parse_scram(std::string_view rest);
    [[nodiscard]] Bytes digest(std::string_view password, std::size_t size) const;

    HashKind kind_ = HashKind::argon2id;
    std::uint32_t memory_kib_ = 0;  // argon2id
    std::uint32_t lanes_ = 0;       // argon2id
    std::uint32_t iterations_ = 0;  // argon2id, pbkdf2, scram
    Bytes salt_;
    Bytes hash_;
    Bytes server_key_;  // scram
};

}  // namespace stentor::auth
