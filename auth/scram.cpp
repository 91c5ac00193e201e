#include "auth/scram.hpp"

#include "base/base64.hpp"
#include "base/random.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace stentor::auth {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;
constexpr std::size_t kNonceBytes = 18;  // 24 characters of base64

/// Takes "x=value" with its comma from the front; nothing if the next attribute is another.
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) noexcept {
    if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
    const auto end = std::min(rest.find(','), rest.size());
    const std::string_view value = rest.substr(2, end - 2);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return value;
}

/// A saslname: "=2C" is a comma, "=3D" an equals sign, no other one may be there.
std::optional<std::string> user_name_of(std::string_view escaped) {
    std::string name;
    while (!escaped.empty()) {
        const bool comma = escaped.starts_with("=2C");
        if (escaped.front() == '=' && !comma && !escaped.starts_with("=3D")) return std::nullopt;
        if (escaped.front() == '=') {
            name += comma ? ',' : '=';
            escaped.remove_prefix(3);
        } else {
            name += escaped.front();
            escaped.remove_prefix(1);
        }
    }
    if (user_name_error(name) != nullptr) return std::nullopt;
    return name;
}

bool is_nonce(std::string_view text) noexcept {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

class ScramExchange final : public Exchange {
  public:
    explicit ScramExchange(std::shared_ptr<const PasswordFile> file) noexcept
        : file_{std::move(file)} {}

    void next(std::string_view data, Turn turn) override {
        if (data.size() > kMessageBytesMax) {
            deny(std::move(turn), "a SCRAM message above 4 KiB");
        } else if (!server_first_.empty()) {
            on_final(data, std::move(turn));
        } else if (data.empty() && !asked_) {
            asked_ = true;  // the client leaves the first word to us (RFC 4422, section 3.3)
            std::move(turn).challenge({});
        } else {
            on_first(data, std::move(turn));
        }
    }

    [[nodiscard]] std::string_view user() const noexcept override { return user_; }

  private:
    static void deny(Turn turn, const char* why) {
        std::move(turn).deny(Outcome::bad_credentials, why);
    }

    void on_first(std::string_view data, Turn turn);
    void on_final(std::string_view data, Turn turn);
    [[nodiscard]] bool proves(std::string_view proof, std::string_view auth_message) const;

    std::shared_ptr<const PasswordFile> file_;
    bool asked_ = false;
    std::string gs2_header_;
    std::string client_first_bare_;
    std::string server_first_;  // empty: not sent
    std::string nonce_;         // the client's and ours
    std::string user_;
    ScramUser keys_;
};

void ScramExchange::on_first(std::string_view data, Turn turn) {
    const bool unbound = data.starts_with("n,") || data.starts_with("y,");
    if (!unbound) return deny(std::move(turn), "SCRAM with channel binding, or no SCRAM");
    if (data.size() < 3 || data[2] != ',') {
        return deny(std::move(turn), "SCRAM with an authorisation identity");
    }
    gs2_header_ = data.substr(0, 3);
    client_first_bare_ = data.substr(3);
    std::string_view rest = client_first_bare_;
    const auto escaped = take_attribute(rest, 'n');  // "m=" before it: an extension we must know
    const auto client_nonce = take_attribute(rest, 'r');
    if (!escaped || !client_nonce || !is_nonce(*client_nonce)) {
        return deny(std::move(turn), "not a SCRAM client-first-message");
    }
    auto user = user_name_of(*escaped);
    if (!user) return deny(std::move(turn), "not a user name that SCRAM can carry");
    user_ = *std::move(user);
    keys_ = file_->scram_user(user_);
    std::array<std::byte, kNonceBytes> ours{};
    random_bytes(ours);
    nonce_ = std::string{*client_nonce} + base64(ours);
    server_first_ =
        "r=" + nonce_ + ",s=" + base64(keys_.salt) + ",i=" + std::to_string(keys_.iterations);
    std::move(turn).challenge(server_first_);
}

void ScramExchange::on_final(std::string_view data, Turn turn) {
    const auto before_proof = data.rfind(",p=");
    std::string_view rest = data;
    const auto binding = take_attribute(rest, 'c');
    const auto nonce = take_attribute(rest, 'r');
    if (before_proof == std::string_view::npos || !binding || !nonce) {
        return deny(std::move(turn), "not a SCRAM client-final-message");
    }
    if (*binding != base64(as_bytes(gs2_header_)) || *nonce != nonce_) {
        return deny(std::move(turn), "a SCRAM client-final-message of another exchange");
    }
    const std::string auth_message =
        client_first_bare_ + ',' + server_first_ + ',' + std::string{data.substr(0, before_proof)};
    if (!proves(data.substr(before_proof + 3), auth_message)) {
        return deny(std::move(turn), "unknown user or wrong password");
    }
    // The same user as with the password itself: http.admins means both.
    std::move(turn).accept(
        "password", user_, "v=" + base64(hmac_sha256(keys_.server_key, auth_message)));
}

bool ScramExchange::proves(std::string_view proof, std::string_view auth_message) const {
    auto key = from_base64(proof);
    if (!key || key->size() != SHA256_DIGEST_LENGTH) return false;
    const Bytes signature = hmac_sha256(keys_.stored_key, auth_message);
    for (std::size_t i = 0; i < key->size(); ++i) (*key)[i] ^= signature[i];
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(key->data()), key->size(), digest.data());
    const bool right = CRYPTO_memcmp(digest.data(), keys_.stored_key.data(), digest.size()) == 0;
    return right && keys_.known;
}

}  // namespace

ScramSha256::ScramSha256(std::shared_ptr<const PasswordFile> file) noexcept
    : file_{std::move(file)} {}

std::unique_ptr<Exchange> ScramSha256::begin(ExchangeClient /*client*/) const {
    return std::make_unique<ScramExchange>(file_);
}

}  // namespace stentor::auth
