#include "tests/conformance/scram_dialect.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace stentor::conformance {
namespace {

constexpr std::string_view kMethod = "SCRAM-SHA-256";
constexpr std::string_view kTableMethod = "TEST";
constexpr std::size_t kDigestBytes = 32;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Octets hmac(std::string_view key, std::string_view text) {
    std::array<unsigned char, kDigestBytes> digest{};
    ::HMAC(::EVP_sha256(),
           key.data(),
           static_cast<int>(key.size()),
           bytes_of(text),
           text.size(),
           digest.data(),
           nullptr);
    return Octets{digest.begin(), digest.end()};
}

Octets sha256(std::string_view text) {
    std::array<unsigned char, kDigestBytes> digest{};
    ::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr);
    return Octets{digest.begin(), digest.end()};
}

Octets base64(std::string_view octets) {
    Octets out(octets.size() / 3 * 4 + 5, '\0');
    out.resize(
        static_cast<std::size_t>(::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                                   bytes_of(octets),
                                                   static_cast<int>(octets.size()))));
    return out;
}

Octets from_base64(std::string_view text) {
    Octets out(text.size(), '\0');
    const int size = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                       bytes_of(text),
                                       static_cast<int>(text.size()));
    if (size < 0) throw BadText{"the server's salt is not base64"};
    const auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

// The value of "r=..." in "r=...,s=...,i=...".
std::string_view attribute(std::string_view message, char name) {
    while (!message.empty()) {
        const auto comma = std::min(message.find(','), message.size());
        const std::string_view part = message.substr(0, comma);
        if (part.size() >= 2 && part[0] == name && part[1] == '=') return part.substr(2);
        message.remove_prefix(std::min(comma + 1, message.size()));
    }
    throw BadText{std::string{"the server's question has no "} + name + "="};
}

Field* find(PacketText& packet, std::string_view key) {
    const auto found = std::ranges::find(packet.fields, key, &Field::key);
    return found == packet.fields.end() ? nullptr : &*found;
}

void set_data(PacketText& packet, const std::string& data) {
    if (Field* field = find(packet, "auth_data")) {
        *field = {"auth_data", data, true};
    } else {
        packet.fields.push_back({"auth_data", data, true});
    }
}

Property* find(Packet& packet, std::string_view name) {
    return const_cast<Property*>(std::as_const(packet).find(name));
}

}  // namespace

ScramDialect::ScramDialect(std::string user, std::string password)
    : user_{std::move(user)}, password_{std::move(password)} {}

std::string ScramDialect::begin(Exchange& exchange) {
    exchange = {};
    exchange.first_bare = "n=" + user_ + ",r=nonce" + std::to_string(++nonces_);
    return "n,," + exchange.first_bare;
}

std::string ScramDialect::answer(Exchange& exchange) const {
    const Octets salt = from_base64(attribute(exchange.server_first, 's'));
    const std::string_view digits = attribute(exchange.server_first, 'i');
    int iterations = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), iterations);
    Octets salted(kDigestBytes, '\0');
    ::PKCS5_PBKDF2_HMAC(password_.data(),
                        static_cast<int>(password_.size()),
                        bytes_of(salt),
                        static_cast<int>(salt.size()),
                        iterations,
                        ::EVP_sha256(),
                        static_cast<int>(kDigestBytes),
                        reinterpret_cast<unsigned char*>(salted.data()));
    const std::string without_proof =
        "c=biws,r=" + std::string{attribute(exchange.server_first, 'r')};
    const std::string said =
        exchange.first_bare + "," + exchange.server_first + "," + without_proof;
    Octets proof = hmac(salted, "Client Key");
    const Octets signature = hmac(sha256(proof), said);
    for (std::size_t i = 0; i < kDigestBytes; ++i) {
        proof[i] = static_cast<char>(proof[i] ^ signature[i]);
    }
    exchange.server_last = "v=" + base64(hmac(hmac(salted, "Server Key"), said));
    return without_proof + ",p=" + base64(proof);
}

void ScramDialect::before_send(std::string_view client, PacketText& packet) {
    const bool begins = packet.name == "CONNECT";
    if (!begins && packet.name != "AUTH") return;
    Field* method = find(packet, "auth_method");
    if (begins && method == nullptr) return;
    if (method != nullptr && method->value == kTableMethod) method->value = kMethod;
    Exchange& exchange = exchanges_[std::string{client}];
    const Field* reason = find(packet, "rc");
    if (begins || (reason != nullptr && reason->value == "0x19")) {
        set_data(packet, begin(exchange));
        return;
    }
    const Field* data = find(packet, "auth_data");
    if (data == nullptr) return;
    if (exchange.server_first.empty()) throw BadText{"an answer, and nobody has asked"};
    std::string said = answer(exchange);
    if (data->value == "wrong") {
        said = said.substr(0, said.rfind("p=") + 2) + base64(Octets(kDigestBytes, 'x'));
    } else if (data->value != "answer") {
        throw BadText{"SCRAM knows answer and wrong, not " + data->value};
    }
    set_data(packet, said);
}

void ScramDialect::after_receive(std::string_view client, Packet& packet) {
    Property* method = find(packet, "auth_method");
    if (method == nullptr || method->text != kMethod) return;
    method->text = kTableMethod;
    Property* data = find(packet, "auth_data");
    if (data == nullptr) return;
    Exchange& exchange = exchanges_[std::string{client}];
    const std::string_view own = std::string_view{exchange.first_bare}.substr(
        std::min(exchange.first_bare.size(), exchange.first_bare.rfind("r=")));
    if (packet.type == Type::auth && packet.reason == 0x18 && data->text.starts_with(own)) {
        exchange.server_first = data->text;
        data->text = "question";
    } else if (!exchange.server_last.empty() && data->text == exchange.server_last) {
        data->text = "welcome";
    }
}

}  // namespace stentor::conformance
