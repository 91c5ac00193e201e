#pragma once
// What the web service is told about a client, and the fingerprint by which its answer is
// remembered. Pure but for the key that is drawn once. Any thread.

#include "auth/authenticator.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace stentor::auth {

/// A text with a password in it: moves, and is overwritten before its memory is given back.
class SecretText {
  public:
    explicit SecretText(std::string text) noexcept : text_{std::move(text)} {}
    SecretText(SecretText&& other) noexcept;
    SecretText& operator=(SecretText&&) = delete;
    SecretText(const SecretText&) = delete;
    SecretText& operator=(const SecretText&) = delete;
    ~SecretText();

    [[nodiscard]] std::string_view view() const noexcept { return text_; }

  private:
    std::string text_;
};

/// A JSON object:
///     {"clientid":"c1","username":"anna","password":"...","address":"192.0.2.1",
///      "listener":"mqtts://0.0.0.0:8883","certificate":null}
/// What there is none of is null. A password that is no UTF-8 stands, in base64, under
/// "password_base64" instead. The same credentials always make the same text.
[[nodiscard]] SecretText login_question(const ConnectCredentials& client);

/// A keyed hash (HMAC-SHA-256) of a question: nobody who reads it learns the password from it.
using Fingerprint = std::array<std::byte, 32>;

class FingerprintMaker {
  public:
    /// Draws a key.
    FingerprintMaker();
    FingerprintMaker(const FingerprintMaker&) = delete;
    FingerprintMaker& operator=(const FingerprintMaker&) = delete;
    ~FingerprintMaker();

    [[nodiscard]] Fingerprint of(const SecretText& question) const;

  private:
    std::array<std::byte, 32> key_{};
};

}  // namespace stentor::auth
