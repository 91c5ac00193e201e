#pragma once
// A signed token in its compact form (RFC 7515, section 7.1), taken apart and not yet believed.
// Pure. Any thread. Nothing here is ever written to a log but what reasons say.

#include "auth/jwt/algorithm.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace stentor::auth {

inline constexpr std::size_t kJwtBytesMax = 16'384;

/// Why a token is refused: for the log, never for the client. Short, printable by the logger.
struct JwtRefusal {
    std::string why;
};

struct JwtToken {
    JwtAlgorithm algorithm = JwtAlgorithm::hs256;
    std::string key_id;            // `kid`; empty: none
    std::string_view signed_text;  // points into what was parsed
    Bytes payload;                 // what is signed: JSON, if the signer is who we think
    Bytes signature;
};

/// Whether a password is meant as a token: three parts of base64url, the first of which begins as
/// a JSON object does. Cheap; any password that is something else says no.
[[nodiscard]] bool looks_like_jwt(std::string_view password) noexcept;

/// Fails for what is no JWS, for unknown algorithms (`none` among them), and for tokens that demand
/// to be understood in ways we do not know (`crit`, `b64`).
[[nodiscard]] Result<JwtToken, JwtRefusal> parse_jwt(std::string_view text);

}  // namespace stentor::auth
