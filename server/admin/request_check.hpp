#pragma once
// What Beast's parser lets through and this server does not: whatever two programs could
// understand differently (RFC 9112), and what no API call needs.
// Pure.

#include "server/admin/http_handler.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include <optional>

namespace stentor::admin {

/// Of a request whose head is complete. Nothing: it is fine.
[[nodiscard]] std::optional<Reply> check_head(
    const boost::beast::http::header<true, boost::beast::http::fields>& head);

/// The answer to what the parser refused.
[[nodiscard]] Reply reply_to(const boost::beast::error_code& error, bool head_is_done);

}  // namespace stentor::admin
