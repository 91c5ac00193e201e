#pragma once
// What Beast's parser lets through and this server does not: whatever two programs could
// understand differently (RFC 9112), and what no API call needs.
// Pure.

#include "server/admin/http_handler.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stentor::admin {

using Head = boost::beast::http::header<true, boost::beast::http::fields>;

/// Of a request whose head is complete. Nothing: it is fine. `cors_origins` are those whose pages
/// may ask besides its own.
[[nodiscard]] std::optional<Reply> check_head(const Head& head,
                                              std::span<const std::string> cors_origins = {});

/// The origin of another site's page that may ask; empty: no other site's page does.
[[nodiscard]] std::string_view cors_origin(const Head& head,
                                           std::span<const std::string> cors_origins);
/// What a browser asks before it does what a page wants (a preflight): may it? Nothing: it is
/// something else. Only with a cors_origin().
[[nodiscard]] std::optional<Reply> answer_to_preflight(const Head& head);

/// The answer to what the parser refused.
[[nodiscard]] Reply reply_to(const boost::beast::error_code& error, bool head_is_done);

}  // namespace stentor::admin
