// Tokens and key sets: any text is understood or refused. Nobody is let in by chance, what was let
// in is within its bounds, and a token has one spelling.

#include "auth/jwt/jwt_rules.hpp"
#include "auth/jwt/jwt_verify.hpp"
#include "auth/jwt/token_maker.hpp"
#include "auth/user_name.hpp"
#include "base/assert.hpp"
#include "base/base64.hpp"
#include "protocol/topic/validate.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <string>
#include <string_view>

namespace {

using namespace stentor;
using namespace stentor::auth;

constexpr std::int64_t kNow = 1'700'000'000'000;

const TestKey& key() {
    static const TestKey kSecret = TestKey::secret("a secret of thirty-two bytes, about");
    return kSecret;
}

const JwtKeySet& keys() {
    static const JwtKeySet kSet = *JwtKeySet::parse_jwks("{\"keys\":[" + key().jwk() + "]}");
    return kSet;
}

JwtPolicy policy() {
    JwtPolicy made;
    made.client_id_claim = "client";
    made.expiry_required = false;
    return made;
}

void try_token(std::string_view text) {
    const auto token = parse_jwt(text);
    if (token) {
        STENTOR_ASSERT(std::string{token->signed_text} + '.' + base64url(token->signature) == text);
    } else {
        STENTOR_ASSERT(!token.error().why.empty() && token.error().why.size() < 300);
    }
    (void)looks_like_jwt(text);
    STENTOR_ASSERT(!verify_jwt(text, policy(), keys(), {.client_id = "c", .user = "u"}, kNow));
}

void try_roles(const RoleNames& roles) {
    std::size_t count = 0;
    STENTOR_ASSERT(roles.all_of([&](std::string_view name) {
        ++count;
        return is_role_name(name) && roles.contains(name);
    }));
    STENTOR_ASSERT(count != 0 && count <= kRolesMax);
}

void try_claims(std::string_view text) {
    const auto verdict = verify_jwt(make_token(key(), JwtAlgorithm::hs256, text),
                                    policy(),
                                    keys(),
                                    {.client_id = "c/+", .user = "u"},
                                    kNow);
    if (!verdict) {
        STENTOR_ASSERT(!verdict.error().why.empty() && verdict.error().why.size() < 300);
        return;
    }
    STENTOR_ASSERT(!verdict->user.empty() && verdict->user.size() <= kUserNameBytesMax);
    STENTOR_ASSERT(!verdict->valid_for || verdict->valid_for->count() > 0);
    if (verdict->roles != nullptr) try_roles(*verdict->roles);
    if (verdict->grants == nullptr) return;
    STENTOR_ASSERT(verdict->grants->all().size() <= kJwtRulesMax);
    for (const Grant& grant : verdict->grants->all()) {
        STENTOR_ASSERT(mqtt::check_topic_filter(grant.filter) == mqtt::TopicCheck::ok);
        STENTOR_ASSERT(grant.read || grant.write);
    }
}

void try_keys(const Result<JwtKeySet, std::vector<FileError>>& read) {
    if (!read) {
        STENTOR_ASSERT(!read.error().empty());
        for (const FileError& error : read.error()) {
            STENTOR_ASSERT(error.line != 0 && error.column != 0 && !error.what.empty());
        }
        return;
    }
    STENTOR_ASSERT(!read->keys().empty() && read->keys().size() <= kJwtKeysMax);
    for (const JwtKey& each : read->keys()) {
        bool fits = false;
        for (const std::string_view name : kJwtAlgorithmNames) {
            const JwtAlgorithm algorithm = *jwt_algorithm(name);
            if (!each.fits(algorithm)) continue;
            fits = true;
            STENTOR_ASSERT(!each.verify(algorithm, "text", as_bytes("no signature")));
        }
        STENTOR_ASSERT(fits && !each.description().empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    try_token(text);
    try_claims(text);
    try_keys(JwtKeySet::parse_jwks(text));
    try_keys(JwtKeySet::parse_key_file(text));
    return 0;
}
