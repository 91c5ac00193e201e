// JSON Web Keys (RFC 7517, RFC 7518 section 6): from their members to a JwtKey.
#include "auth/jwt/jwt_key.hpp"
#include "auth/openssl_free.hpp"
#include "base/base64.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kKeyIdBytesMax = 256;

using Number = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

KeyMistake foreign(std::string what) {
    return {.what = std::move(what), .hint = {}, .is_foreign = true};
}

/// A member that is a string; an empty view if it is missing.
Result<std::string_view, KeyMistake> text_of(const json::object& jwk, std::string_view name) {
    const json::value* const value = jwk.if_contains({name.data(), name.size()});
    if (value == nullptr) return std::string_view{};
    if (!value->is_string()) {
        return KeyMistake{.what = quoted(name) + " is not a string", .hint = {}};
    }
    const json::string& text = value->get_string();
    return std::string_view{text.data(), text.size()};
}

/// A member that must be there, decoded.
Result<Bytes, KeyMistake> bytes_of(const json::object& jwk, std::string_view name) {
    STENTOR_TRY(const std::string_view text, text_of(jwk, name));
    if (text.empty()) {
        return KeyMistake{.what = quoted(name) + " is missing", .hint = "see RFC 7518, section 6"};
    }
    auto bytes = from_base64url(text);
    if (!bytes) {
        return KeyMistake{.what = quoted(name) + " is not base64url",
                          .hint = "'-' and '_' instead of '+' and '/', and no '=' at the end"};
    }
    return *std::move(bytes);
}

EVP_PKEY* make_key(const char* type, OSSL_PARAM_BLD* builder) {
    const Parameters parameters{OSSL_PARAM_BLD_to_param(builder)};
    const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
    EVP_PKEY* key = nullptr;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
        return nullptr;
    }
    return key;
}

Number number_of(ByteView bytes) {
    return Number{BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                            static_cast<int>(bytes.size()),
                            nullptr)};
}

/// Whether a set wants this key used for verifying signatures (RFC 7517, sections 4.2 and 4.3).
Result<void, KeyMistake> check_use(const json::object& jwk) {
    STENTOR_TRY(const std::string_view use, text_of(jwk, "use"));
    if (!use.empty() && use != "sig") return foreign("it is for the use " + quoted(use));
    const json::value* const operations = jwk.if_contains("key_ops");
    if (operations == nullptr) return {};
    if (!operations->is_array()) {
        return KeyMistake{.what = "\"key_ops\" is not an array", .hint = {}};
    }
    const json::array& all = operations->get_array();
    const bool verifies = std::any_of(all.begin(), all.end(), [](const json::value& each) {
        return each.is_string() && (each.get_string() == "verify" || each.get_string() == "sign");
    });
    if (!verifies) return foreign("its key_ops do not include \"verify\"");
    return {};
}

}  // namespace

Result<JwtKey::PublicKey, KeyMistake> JwtKey::rsa_of(const json::object& jwk) {
    constexpr std::size_t kExponentBytesMax = 4;
    STENTOR_TRY(const Bytes modulus, bytes_of(jwk, "n"));
    STENTOR_TRY(const Bytes exponent, bytes_of(jwk, "e"));
    const Number n = number_of(modulus);
    const Number e = number_of(exponent);
    if (!n || !e || modulus.size() > kRsaBitsMax / 8 + 1 || exponent.size() > kExponentBytesMax ||
        BN_is_odd(n.get()) == 0 || BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) == 1) {
        return KeyMistake{.what = R"("n" and "e" are not those of an RSA key)",
                          .hint = R"("e" is "AQAB" nearly always)"};
    }
    const Builder builder{OSSL_PARAM_BLD_new()};
    PublicKey key;
    if (builder && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1) {
        key.reset(make_key("RSA", builder.get()));
    }
    if (!key) return KeyMistake{.what = "OpenSSL takes it for no RSA key", .hint = {}};
    return key;
}

Result<JwtKey::PublicKey, KeyMistake> JwtKey::ec_of(const json::object& jwk) {
    struct Curve {
        std::string_view name;
        const char* group;
        std::size_t coordinate_bytes;
    };
    constexpr std::array<Curve, 3> kCurves{
        {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}}};
    STENTOR_TRY(const std::string_view name, text_of(jwk, "crv"));
    const auto* const curve = std::find_if(
        kCurves.begin(), kCurves.end(), [&](const Curve& each) { return each.name == name; });
    if (curve == kCurves.end()) return foreign("the curve " + quoted(name) + " is not supported");
    STENTOR_TRY(const Bytes x, bytes_of(jwk, "x"));
    STENTOR_TRY(const Bytes y, bytes_of(jwk, "y"));
    if (x.size() != curve->coordinate_bytes || y.size() != curve->coordinate_bytes) {
        return KeyMistake{.what = R"("x" and "y" of )" + std::string{name} + " have " +
                                  std::to_string(curve->coordinate_bytes) + " bytes each",
                          .hint = "leading zeros stay (RFC 7518, section 6.2.1.2)"};
    }
    Bytes point{std::byte{4}};  // uncompressed
    point.insert(point.end(), x.begin(), x.end());
    point.insert(point.end(), y.begin(), y.end());
    const Builder builder{OSSL_PARAM_BLD_new()};
    PublicKey key;
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(
            builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(
            builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1) {
        key.reset(make_key("EC", builder.get()));
    }
    if (!key) return KeyMistake{.what = "the point is not on the curve", .hint = {}};
    return key;
}

Result<JwtKey, KeyMistake> JwtKey::from_jwk(const json::object& jwk) {
    STENTOR_TRY(const std::string_view type, text_of(jwk, "kty"));
    STENTOR_TRY(const std::string_view id, text_of(jwk, "kid"));
    STENTOR_TRY(const std::string_view algorithm, text_of(jwk, "alg"));
    if (type.empty()) return KeyMistake{.what = "\"kty\" is missing", .hint = "RSA, EC or oct"};
    STENTOR_TRY_VOID(check_use(jwk));
    if (id.size() > kKeyIdBytesMax) {
        return KeyMistake{.what = "\"kid\" has more than 256 bytes", .hint = {}};
    }
    JwtKey key;
    if (type == "oct") {
        STENTOR_TRY(Bytes secret, bytes_of(jwk, "k"));
        auto made = from_secret(as_text(secret));
        OPENSSL_cleanse(secret.data(), secret.size());
        STENTOR_TRY(key, std::move(made));
    } else if (type == "RSA" || type == "EC") {
        if (jwk.contains("d")) {
            return KeyMistake{.what = "this is a private key, which the broker does not need",
                              .hint = R"(remove "d", "p", "q", "dp", "dq" and "qi")"};
        }
        auto made = type == "RSA" ? rsa_of(jwk) : ec_of(jwk);
        ERR_clear_error();
        STENTOR_TRY(PublicKey point, std::move(made));
        STENTOR_TRY(key, from_public(std::move(point)));
    } else {
        return foreign("keys of type " + quoted(type) + " are not supported");
    }
    key.id_ = id;
    if (algorithm.empty()) return key;
    const auto only = jwt_algorithm(algorithm);
    if (!only) return foreign("its algorithm " + quoted(algorithm) + " is not supported");
    if (!key.fits(*only)) {
        return KeyMistake{.what = "it says " + quoted(algorithm) + " and is a " + key.description_,
                          .hint = "leave \"alg\" out, or write one that fits"};
    }
    key.algorithms_ = {};
    key.algorithms_.add(*only);
    return key;
}

}  // namespace stentor::auth
