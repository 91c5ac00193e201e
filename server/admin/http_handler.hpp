#pragma once
// Between the HTTP server, which knows connections, and the API, which knows the broker.
// Everything here happens on the HTTP server's thread.

#include "server/admin/reply.hpp"
#include "server/core/access.hpp"
#include "server/shard/transport_port.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace stentor::admin {

using Request = boost::beast::http::request<boost::beast::http::string_body>;

/// What a connection remembers between its requests, for the handler: who it has turned out to be.
class Visitor {
  public:
    virtual ~Visitor() = default;
};

/// One request on its way. The server keeps it alive until the last call about it has returned.
struct Call {
    const Request* request = nullptr;  // in begin() without its body
    server::PeerInfo peer;             // as X-Forwarded-For has it, if that is to be believed
    std::unique_ptr<Visitor>* visitor = nullptr;
    // From begin() to answer():
    std::size_t route = 0;
    std::string_view path_value = {};      // of the path's "{...}", percent-encoded
    server::Identity identity = {};        // who has turned out to ask
    std::shared_ptr<void> room = nullptr;  // what it holds of a bound, until it is answered
};

/// How much the body may hold, or the answer if nobody wants to know more.
struct Begun {
    std::optional<Reply> refusal = {};
    std::uint64_t body_bytes_max = 0;
};

class HttpHandler {
  public:
    virtual ~HttpHandler() = default;

    /// When the head has come, before its body is read: may it?
    [[nodiscard]] virtual boost::asio::awaitable<Begun> begin(Call& call) = 0;
    /// With the body. HEAD is answered as GET is; the server leaves the body out.
    [[nodiscard]] virtual boost::asio::awaitable<Reply> answer(Call& call) = 0;
};

}  // namespace stentor::admin
