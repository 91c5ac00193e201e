#include "auth/jwt/jwt_token.hpp"

#include "auth/jwt/json.hpp"
#include "base/base64.hpp"

#include <algorithm>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownBytesMax = 64;

JwtRefusal refuse(std::string why) { return {std::move(why)}; }

/// What a stranger wrote, short enough for a line of the log.
std::string shown(const json::string& text) {
    return '"' + std::string{text.data(), std::min(text.size(), kShownBytesMax)} + '"';
}

bool is_base64url(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

Result<void, JwtRefusal> read_header(const json::object& header, JwtToken& token) {
    const json::value* const algorithm = header.if_contains("alg");
    if (algorithm == nullptr || !algorithm->is_string()) {
        return refuse("its header names no algorithm");
    }
    const json::string& name = algorithm->get_string();
    const auto known = jwt_algorithm({name.data(), name.size()});
    if (!known) return refuse("its algorithm " + shown(name) + " is none that is accepted");
    token.algorithm = *known;
    // Extensions that must be understood [RFC 7515, section 4.1.11]; we know none.
    if (header.contains("crit") || header.contains("b64")) {
        return refuse("its header has critical extensions");
    }
    if (const json::value* const id = header.if_contains("kid")) {
        if (!id->is_string()) return refuse("its kid is not a string");
        token.key_id.assign(id->get_string().data(), id->get_string().size());
    }
    return {};
}

}  // namespace

bool looks_like_jwt(std::string_view password) noexcept {
    // '{' and what may follow it make 'e' and one of these.
    constexpr std::string_view kSecond = "wxyz0123456789-_";
    if (password.size() < 2 || password[0] != 'e' ||
        kSecond.find(password[1]) == std::string_view::npos) {
        return false;
    }
    return std::count(password.begin(), password.end(), '.') == 2 &&
           std::all_of(password.begin(), password.end(), [](char c) {
               return c == '.' || is_base64url(c);
           });
}

Result<JwtToken, JwtRefusal> parse_jwt(std::string_view text) {
    if (text.size() > kJwtBytesMax) {
        return refuse("it has " + std::to_string(text.size()) + " bytes, more than " +
                      std::to_string(kJwtBytesMax));
    }
    const auto first = text.find('.');
    const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
    if (second == std::string_view::npos) return refuse("it has not three parts");
    JwtToken token;
    token.signed_text = text.substr(0, second);
    const auto header_text = from_base64url(text.substr(0, first));
    auto payload = from_base64url(text.substr(first + 1, second - first - 1));
    auto signature = from_base64url(text.substr(second + 1));  // a third '.' is no base64url
    if (!header_text || !payload || !signature) {
        return refuse("one of its parts is not base64url without padding");
    }
    const auto header = parse_json_object(as_text(*header_text));
    if (!header) return refuse("its header is no JSON object: " + header.error().what);
    STENTOR_TRY_VOID(read_header(*header, token));
    token.payload = *std::move(payload);
    token.signature = *std::move(signature);
    return token;
}

}  // namespace stentor::auth
