#pragma once
// What the HTTP API asks about people beyond server::AccessControl: may this visitor come in? The
// app wires it to the same chain of authenticators, bans and throttling as MQTT.

#include "server/core/access.hpp"

#include <functional>
#include <optional>
#include <string>

namespace stentor::server {
struct PeerInfo;
}  // namespace stentor::server

namespace stentor::admin {

/// Basic: both; bearer: the token as password; none: neither.
struct HttpCredentials {
    std::optional<std::string> user = {};
    std::optional<std::string> password = {};
};

class HttpAccess {
  public:
    /// `answer` is called exactly once, on any thread, possibly before this returns.
    virtual void admit_visitor(HttpCredentials credentials,
                               const server::PeerInfo& peer,
                               std::function<void(server::Admission)> answer) = 0;

  protected:
    ~HttpAccess() = default;
};

}  // namespace stentor::admin
