#include "auth/jwt/key_set.hpp"

#include "auth/jwt/json.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;

/// The place of a byte of the text.
FileError error_at(std::string_view text, std::size_t at, std::string what, std::string hint) {
    const std::string_view before = text.substr(0, at);
    const auto line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    return {.line = static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1),
            .column = static_cast<std::uint32_t>(at - line_begin + 1),
            .length = 1,
            .what = std::move(what),
            .hint = std::move(hint)};
}

bool looks_like_der(std::string_view text) noexcept {
    // SEQUENCE with a length of two bytes: every public key and certificate that is large enough.
    return text.size() > 2 && text[0] == '\x30' &&
           (text[1] == '\x82' || text[1] == '\x81' ||
            static_cast<std::size_t>(static_cast<unsigned char>(text[1])) + 2 == text.size());
}

}  // namespace

Result<JwtKeySet, std::vector<FileError>> JwtKeySet::parse_jwks(std::string_view text) {
    const auto set = parse_json_object(text);
    if (!set) {
        return std::vector{error_at(text,
                                    set.error().at,
                                    "this is no JWKS: " + set.error().what,
                                    R"({"keys": [{"kty": "RSA", ...}]}, as RFC 7517 has it)")};
    }
    const json::value* const keys = set->if_contains("keys");
    if (keys == nullptr || !keys->is_array()) {
        const bool is_one_key = set->contains("kty");
        return std::vector{error_at(text,
                                    0,
                                    R"(there is no array "keys" in it)",
                                    is_one_key ? R"(this is one key: put it into {"keys": [...]})"
                                               : R"(a JWKS is {"keys": [...]})")};
    }
    const json::array& all = keys->get_array();
    const std::vector<std::size_t> places = element_places(text, "keys");
    JwtKeySet result;
    std::vector<FileError> errors;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t at = i < places.size() ? places[i] : 0;
        const std::string number = "key " + std::to_string(i + 1) + ": ";
        if (!all[i].is_object()) {
            errors.push_back(error_at(text, at, number + "not an object", {}));
            continue;
        }
        auto key = JwtKey::from_jwk(all[i].get_object());
        if (key && result.keys_.size() == kJwtKeysMax) {
            errors.push_back(error_at(text, at, "more than 64 keys", "remove those of old tokens"));
            break;
        }
        if (key) {
            result.keys_.push_back(*std::move(key));
        } else if (key.error().is_foreign) {
            result.notes_.push_back(number + key.error().what);
        } else {
            errors.push_back(error_at(text, at, number + key.error().what, key.error().hint));
        }
    }
    if (errors.empty() && result.keys_.empty()) {
        std::string why = "there is no key in it that tokens can be verified with";
        for (const std::string& note : result.notes_) why += "; " + note;
        errors.push_back(error_at(text, 0, std::move(why), "RSA, EC and oct keys are"));
    }
    if (!errors.empty()) return errors;
    return result;
}

Result<JwtKeySet, std::vector<FileError>> JwtKeySet::parse_key_file(std::string_view text) {
    const bool is_pem = text.find("-----BEGIN ") != std::string_view::npos;
    if (!is_pem) {
        if (text.ends_with('\n')) text.remove_suffix(1);
        if (text.ends_with('\r')) text.remove_suffix(1);
        if (looks_like_der(text)) {
            return std::vector{error_at(text,
                                        0,
                                        "this is a key in DER, not in PEM",
                                        "`openssl pkey -pubin -inform DER -in FILE` converts it")};
        }
        if (text.starts_with('{') && parse_json_object(text)) {
            return std::vector{error_at(text,
                                        0,
                                        "this is JSON, neither PEM nor a secret",
                                        "a JWKS goes into auth.jwt.jwks_file")};
        }
        if (text.starts_with("ssh-") || text.starts_with("ecdsa-sha2-")) {
            return std::vector{error_at(text,
                                        0,
                                        "this is a key of OpenSSH",
                                        "`ssh-keygen -e -m PKCS8 -f FILE` converts it")};
        }
    }
    auto key = is_pem ? JwtKey::from_pem(text) : JwtKey::from_secret(text);
    if (!key) return std::vector{error_at(text, 0, key.error().what, key.error().hint)};
    JwtKeySet result;
    result.keys_.push_back(*std::move(key));
    return result;
}

void JwtKeySet::add(JwtKeySet other) {
    keys_.insert(keys_.end(),
                 std::make_move_iterator(other.keys_.begin()),
                 std::make_move_iterator(other.keys_.end()));
    notes_.insert(notes_.end(),
                  std::make_move_iterator(other.notes_.begin()),
                  std::make_move_iterator(other.notes_.end()));
}

}  // namespace stentor::auth
