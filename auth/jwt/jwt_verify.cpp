#include "auth/jwt/jwt_verify.hpp"

#include "auth/jwt/json.hpp"
#include "auth/jwt/jwt_roles.hpp"
#include "auth/jwt/jwt_rules.hpp"
#include "auth/user_name.hpp"

#include <algorithm>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;
using Milliseconds = std::chrono::milliseconds;

constexpr std::size_t kShownBytesMax = 64;

JwtRefusal refuse(std::string why) { return {std::move(why)}; }

std::string_view view_of(const json::string& text) noexcept { return {text.data(), text.size()}; }

const json::value* find(const json::object& claims, std::string_view name) noexcept {
    return claims.if_contains({name.data(), name.size()});
}

/// A NumericDate (RFC 7519, section 2) in milliseconds; nothing if the claim is missing.
Result<std::optional<std::int64_t>, JwtRefusal> date_of(const json::object& claims,
                                                        std::string_view name) {
    const json::value* const value = find(claims, name);
    if (value == nullptr) return std::optional<std::int64_t>{};
    const std::optional<std::int64_t> date = unix_ms_of(*value);
    if (!date) return refuse("its " + std::string{name} + " is not a number");
    return date;
}

std::string seconds_text(std::int64_t milliseconds) {
    return std::to_string(milliseconds / 1000) + " s";
}

/// Its life on this day: when it ends, if it does.
Result<std::optional<Milliseconds>, JwtRefusal> check_times(const json::object& claims,
                                                            const JwtPolicy& policy,
                                                            std::int64_t now_ms) {
    const std::int64_t leeway = policy.leeway.count();
    STENTOR_TRY(const auto not_before, date_of(claims, "nbf"));
    STENTOR_TRY(const auto issued_at, date_of(claims, "iat"));
    STENTOR_TRY(const auto expires, date_of(claims, "exp"));
    if (expires && now_ms >= *expires + leeway) {
        return refuse("it expired " + seconds_text(now_ms - *expires) + " ago (exp)");
    }
    for (const auto& begin : {not_before, issued_at}) {
        if (!begin || now_ms + leeway >= *begin) continue;
        return refuse("it is not valid for another " + seconds_text(*begin - now_ms) +
                      " (nbf, iat), if this machine's clock is right");
    }
    if (expires) return std::optional{Milliseconds{*expires + leeway - now_ms}};
    if (policy.expiry_required) {
        return refuse("it never expires (no exp); auth.jwt.expiry_required = false would do");
    }
    return std::optional<Milliseconds>{};
}

bool is_for(const json::value& audience, std::string_view us) {
    if (audience.is_string()) return view_of(audience.get_string()) == us;
    if (!audience.is_array()) return false;
    const json::array& all = audience.get_array();
    return std::any_of(all.begin(), all.end(), [us](const json::value& each) {
        return each.is_string() && view_of(each.get_string()) == us;
    });
}

Result<void, JwtRefusal> check_parties(const json::object& claims, const JwtPolicy& policy) {
    if (!policy.issuer.empty()) {
        const json::value* const issuer = find(claims, "iss");
        if (issuer == nullptr || !issuer->is_string() ||
            view_of(issuer->get_string()) != policy.issuer) {
            return refuse("its iss is not auth.jwt.issuer");
        }
    }
    if (!policy.audience.empty()) {
        const json::value* const audience = find(claims, "aud");
        if (audience == nullptr || !is_for(*audience, policy.audience)) {
            return refuse("its aud does not name auth.jwt.audience");
        }
    }
    return {};
}

/// The user's name, after it and the client identifier were compared with what CONNECT says.
Result<void, JwtRefusal> read_name(const json::object& claims,
                                   const JwtPolicy& policy,
                                   const JwtBearer& bearer,
                                   std::string& user) {
    const json::value* const name = find(claims, policy.user_claim);
    if (name == nullptr || !name->is_string() || !is_user_name(view_of(name->get_string()))) {
        return refuse("it names no user (claim " + policy.user_claim + ")");
    }
    user = view_of(name->get_string());
    if (policy.user_must_match && bearer.user != user) {
        return refuse("it is for the user \"" + user.substr(0, kShownBytesMax) +
                      "\", not for the user name of CONNECT");
    }
    if (policy.client_id_claim.empty()) return {};
    const json::value* const client = find(claims, policy.client_id_claim);
    if (client == nullptr || !client->is_string() ||
        view_of(client->get_string()) != bearer.client_id) {
        return refuse("it is not for this client identifier (claim " + policy.client_id_claim +
                      ")");
    }
    return {};
}

/// What its bearer, who has been named, may do.
Result<void, JwtRefusal> read_permissions(const json::object& claims,
                                          const JwtPolicy& policy,
                                          const JwtBearer& bearer,
                                          JwtVerdict& verdict) {
    const json::value* const rules =
        policy.acl_claim.empty() ? nullptr : find(claims, policy.acl_claim);
    if (rules != nullptr) {
        STENTOR_TRY(verdict.grants,
                    read_jwt_rules(*rules, {.user = verdict.user, .client_id = bearer.client_id}));
    }
    const json::value* const roles =
        policy.roles_claim.empty() ? nullptr : find(claims, policy.roles_claim);
    if (roles != nullptr) {
        STENTOR_TRY(verdict.roles, read_jwt_roles(*roles));
    }
    return {};
}

/// Keys that may have signed it are tried; the algorithm is pinned before any is.
Result<void, JwtRefusal> check_signature(const JwtToken& token,
                                         const JwtPolicy& policy,
                                         const JwtKeySet& keys) {
    const std::string algorithm{name_of(token.algorithm)};
    if (!policy.algorithms.contain(token.algorithm)) {
        return refuse("its algorithm " + algorithm + " is not among auth.jwt.algorithms");
    }
    bool known = false;
    bool fits = false;
    for (const JwtKey& key : keys.keys()) {
        if (!token.key_id.empty() && !key.id().empty() && key.id() != token.key_id) continue;
        known = true;
        if (!key.fits(token.algorithm)) continue;
        fits = true;
        if (key.verify(token.algorithm, token.signed_text, token.signature)) return {};
    }
    if (!known) {
        return refuse("there is no key with its kid \"" + token.key_id.substr(0, kShownBytesMax) +
                      '"');
    }
    if (!fits) return refuse("there is no key for its algorithm " + algorithm);
    return refuse("its signature is wrong");
}

}  // namespace

Result<JwtVerdict, JwtRefusal> verify_jwt(std::string_view text,
                                          const JwtPolicy& policy,
                                          const JwtKeySet& keys,
                                          const JwtBearer& bearer,
                                          std::int64_t now_unix_ms) {
    STENTOR_TRY(const JwtToken token, parse_jwt(text));
    STENTOR_TRY_VOID(check_signature(token, policy, keys));
    const auto claims = parse_json_object(as_text(token.payload));
    if (!claims) return refuse("its claims are no JSON object: " + claims.error().what);
    JwtVerdict verdict;
    STENTOR_TRY(verdict.valid_for, check_times(*claims, policy, now_unix_ms));
    STENTOR_TRY_VOID(check_parties(*claims, policy));
    STENTOR_TRY_VOID(read_name(*claims, policy, bearer, verdict.user));
    STENTOR_TRY_VOID(read_permissions(*claims, policy, bearer, verdict));
    return verdict;
}

}  // namespace stentor::auth
