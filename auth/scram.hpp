#pragma once
// SCRAM-SHA-256 (RFC 5802, RFC 7677): the client proves that it knows the password without saying
// it, and the server that it has the user's keys. The server's side as a Method over the password
// file, and what both sides compute. No channel binding.
//
// Names and passwords that are printable ASCII are what SASLprep makes of them. Others are compared
// byte by byte as UTF-8, so both ends have to write them in one normal form (NFKC).
//
// No I/O. Functions and ScramSha256: any thread, several at once; an exchange: one at a time. An
// exchange takes two messages of at most 4 KiB; anything else is a refusal.

#include "auth/exchange.hpp"
#include "auth/password_file.hpp"
#include "base/bytes.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace stentor::auth {

inline constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";

/// What the client derives from the password, and what the server stores of it.
struct ScramKeys {
    Bytes client_key;
    Bytes stored_key;  // SHA-256 of client_key
    Bytes server_key;
};

/// PBKDF2: slow, see `iterations`. Not on a shard.
[[nodiscard]] ScramKeys scram_keys(std::string_view password,
                                   ByteView salt,
                                   std::uint32_t iterations);

[[nodiscard]] Bytes hmac_sha256(ByteView key, std::string_view text);

/// Users of the file whose line begins with $scram-sha-256$. Nothing slow happens on this side, so
/// every answer comes at once. Who the user is, only the exchange says: the user name of CONNECT
/// is not looked at.
class ScramSha256 final : public Method {
  public:
    explicit ScramSha256(std::shared_ptr<const PasswordFile> file) noexcept;

    [[nodiscard]] std::string_view name() const noexcept override { return kScramSha256; }
    [[nodiscard]] std::unique_ptr<Exchange> begin(ExchangeClient client) const override;

  private:
    std::shared_ptr<const PasswordFile> file_;
};

}  // namespace stentor::auth
