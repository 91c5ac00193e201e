#pragma once
// What a web service answers about a client. Pure: the time is handed in. Any thread.
//
//     {"result": "allow", "username": "anna", "roles": ["sensor"], "acl": {"sub": ["news/#"]},
//      "admin": false, "expire_at": 1767225600}
//
// "result" is allow, deny or ignore (the next authenticator is asked); the others may be missing.
// A member that is not known makes the answer void: it might be meant to forbid something.

#include "auth/grants.hpp"
#include "auth/role_names.hpp"
#include "base/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::auth {

inline constexpr std::size_t kLoginAnswerBytesMax = std::size_t{64} << 10U;

/// What a service answered with, before it is understood.
struct HttpReply {
    unsigned status = 0;
    std::string body;
};

/// Why a service cannot be listened to, for the log: "answers 500", "its answer is no JSON object".
struct HttpFailure {
    std::string why;
};

enum class LoginResult : std::uint8_t { allow, deny, ignore };

struct LoginAnswer {
    LoginResult result = LoginResult::deny;
    std::string user = {};    // of allow: the name in rules; empty: it has none
    bool is_admin = false;    // of allow
    GrantsPtr grants = {};    // of allow; null: the ACL file alone decides
    RoleNamesPtr roles = {};  // of allow; null: none
    std::string reason = {};  // of deny, for the log; short
    /// From now on: of allow. Above 0.
    std::optional<std::chrono::milliseconds> valid_for = {};
};

/// Who it is about. `user` is the name when the answer gives none.
struct LoginNames {
    std::string_view client_id;
    std::string_view user;
};

/// Fails for everything that is not an answer as described above, with status 200.
[[nodiscard]] Result<LoginAnswer, HttpFailure> read_login_answer(const HttpReply& reply,
                                                                 const LoginNames& names,
                                                                 std::int64_t now_unix_ms);

}  // namespace stentor::auth
