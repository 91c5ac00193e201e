#pragma once
// What doors read in the fields of an HTTP request, of a WebSocket's upgrade or of the HTTP server.
// Pure; any thread.

#include <boost/beast/http/fields.hpp>

#include <string>
#include <string_view>

namespace stentor::server {

/// All fields of one name in their order, with commas between: they are one list (RFC 9110 5.3).
[[nodiscard]] std::string list_of(const boost::beast::http::fields& head, std::string_view name);

/// Proxies write fields of this name; that one is there tells as much as what it says.
[[nodiscard]] bool is_mark_of_proxy(std::string_view field);

}  // namespace stentor::server
