#pragma once
// Who stands behind a request: reads Authorization, asks the chain of authenticators, and keeps the
// answer with the connection, so that a password is not hashed for every request on it.
// The HTTP server's thread.
//
// A kept answer is good for the very same header from the very same peer, until its credentials
// end; after a change of users, rules or bans it is looked at again.

#include "server/admin/http_access.hpp"
#include "server/admin/http_handler.hpp"

#include <optional>
#include <string_view>

namespace stentor::admin {

/// No user has this as client identifier; rules with %c see it empty.
inline constexpr std::string_view kHttpClientId{};

class VisitorCheck {
  public:
    /// Both outlive this object.
    VisitorCheck(HttpAccess& door, const server::AccessControl& access) noexcept
        : door_{door}, access_{access} {}

    struct Outcome {
        std::optional<Reply> refusal = {};  // 401, 403, 429 or 503
        server::Identity identity = {};     // without a refusal
    };
    [[nodiscard]] boost::asio::awaitable<Outcome> identify(Call& call);

  private:
    HttpAccess& door_;
    const server::AccessControl& access_;
};

/// Whether anonymous visitors of this request count as being on this machine: they came to a
/// loopback listener without a proxy, and the browser, if it is one, was told to go to loopback
/// (and not to a name of somebody else's that resolves to it).
[[nodiscard]] bool is_local(const Call& call);

}  // namespace stentor::admin
