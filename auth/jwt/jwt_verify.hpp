#pragma once
// From a token to who its bearer is, what he may do and until when (RFC 7519).
// Pure: the time is handed in. Any thread; up to some milliseconds, so not on a shard.

#include "auth/grants.hpp"
#include "auth/jwt/algorithm.hpp"
#include "auth/jwt/jwt_token.hpp"
#include "auth/jwt/key_set.hpp"
#include "auth/role_names.hpp"
#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::auth {

/// What is expected of tokens: [auth.jwt] of the configuration.
struct JwtPolicy {
    JwtAlgorithms algorithms = JwtAlgorithms::all();  // less what a key does not fit
    std::string issuer;                               // `iss`; empty: any
    std::string audience;                             // one of `aud`; empty: any
    std::string user_claim = "sub";                   // whose value is the user's name
    std::string client_id_claim;        // must equal the client identifier; empty: not looked at
    std::string acl_claim = "acl";      // rules; empty: not looked at
    std::string roles_claim = "roles";  // names of roles; empty: not looked at
    bool user_must_match = false;       // CONNECT's user name must be the claim's
    bool expiry_required = true;        // a token without `exp` is refused
    std::chrono::milliseconds leeway{5'000};  // for the clocks of others, of exp, nbf and iat
};

/// Who shows the token.
struct JwtBearer {
    std::string_view client_id;
    std::optional<std::string_view> user;  // as CONNECT says
};

struct JwtVerdict {
    std::string user;
    std::optional<std::chrono::milliseconds> valid_for;  // from `now` on; nothing: for ever
    GrantsPtr grants;                                    // null: the token has no rules
    RoleNamesPtr roles;                                  // null: it names no roles
};

/// The signature is looked at before anything that is signed.
[[nodiscard]] Result<JwtVerdict, JwtRefusal> verify_jwt(std::string_view text,
                                                        const JwtPolicy& policy,
                                                        const JwtKeySet& keys,
                                                        const JwtBearer& bearer,
                                                        std::int64_t now_unix_ms);

}  // namespace stentor::auth
