#include "auth/http/login_question.hpp"

#include "base/assert.hpp"
#include "base/base64.hpp"
#include "base/random.hpp"
#include "base/utf8.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serializer.hpp>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;

// Each byte becomes at most six ("\u001f"), and the names of the members have their own.
constexpr std::size_t kEscapedBytesMax = 6;
constexpr std::size_t kMembersBytes = 256;

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t size = utf8_length(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

json::string_view view_of(std::string_view text) noexcept { return {text.data(), text.size()}; }

void put(json::object& members, std::string_view name, std::string_view text) {
    json::value& place = members[view_of(name)];  // null
    if (!text.empty()) place = view_of(text);
}

void cleanse(json::string& text) noexcept { OPENSSL_cleanse(text.data(), text.size()); }

}  // namespace

SecretText::SecretText(SecretText&& other) noexcept : text_{std::move(other.text_)} {
    // A short one lives inside the object and stays behind when it is moved.
    other.text_.resize(other.text_.capacity());
    OPENSSL_cleanse(other.text_.data(), other.text_.size());
    other.text_.clear();
}

SecretText::~SecretText() { OPENSSL_cleanse(text_.data(), text_.size()); }

SecretText login_question(const ConnectCredentials& client) {
    json::object members;
    members.reserve(6);
    members["clientid"] = view_of(client.client_id);
    json::value& name = members["username"];
    if (client.user) name = view_of(*client.user);
    const std::string_view password =
        client.password ? std::string_view{*client.password} : std::string_view{};
    json::string* secret = nullptr;
    if (is_utf8(password)) {
        json::value& place = members["password"];
        if (client.password) {
            secret = &place.emplace_string();
            secret->assign(password.data(), password.size());
        }
    } else {
        std::string encoded = base64(as_bytes(password));
        secret = &members["password_base64"].emplace_string();
        secret->assign(encoded.data(), encoded.size());
        OPENSSL_cleanse(encoded.data(), encoded.size());
    }
    put(members, "address", client.peer_address);
    put(members, "listener", client.listener);
    put(members, "certificate", client.certificate_name);

    // Large enough from the start: a text that grows would leave copies behind.
    const std::size_t size = client.client_id.size() + (client.user ? client.user->size() : 0) +
                             password.size() + password.size() / 2 + client.peer_address.size() +
                             client.listener.size() + client.certificate_name.size();
    std::string text(kEscapedBytesMax * size + kMembersBytes, '\0');
    json::serializer serializer;
    serializer.reset(&members);
    const auto written = serializer.read(text.data(), text.size());
    STENTOR_ASSERT(serializer.done(), "the text has room for the longest question");
    std::string fitting{text, 0, written.size()};
    OPENSSL_cleanse(text.data(), written.size());
    if (secret != nullptr) cleanse(*secret);
    return SecretText{std::move(fitting)};
}

FingerprintMaker::FingerprintMaker() { random_bytes(key_); }

FingerprintMaker::~FingerprintMaker() { OPENSSL_cleanse(key_.data(), key_.size()); }

Fingerprint FingerprintMaker::of(const SecretText& question) const {
    Fingerprint made{};
    const ByteView bytes = as_bytes(question.view());
    unsigned size = 0;
    const auto* const done = ::HMAC(::EVP_sha256(),
                                    key_.data(),
                                    static_cast<int>(key_.size()),
                                    reinterpret_cast<const unsigned char*>(bytes.data()),
                                    bytes.size(),
                                    reinterpret_cast<unsigned char*>(made.data()),
                                    &size);
    STENTOR_ASSERT(done != nullptr && size == made.size(), "SHA-256 is always there");
    return made;
}

}  // namespace stentor::auth
