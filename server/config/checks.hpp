#pragma once
// Rules about single texts that a type cannot express; the table of keys refers to them.
// Pure. Any thread.

#include "base/result.hpp"
#include "server/config/units.hpp"

#include <string_view>

namespace stentor::config {

[[nodiscard]] Result<void, ValueError> check_not_empty(std::string_view text);
/// A path, or ":memory:".
[[nodiscard]] Result<void, ValueError> check_data_directory(std::string_view text);
/// 1 to 64 printable characters, none of them a topic's or a URL's separator.
[[nodiscard]] Result<void, ValueError> check_node_name(std::string_view text);
/// "https://example.org:8443": as a browser writes where a page is from.
[[nodiscard]] Result<void, ValueError> check_origin(std::string_view text);
/// "10.0.0.0/8", "192.0.2.1", "2001:db8::/32".
[[nodiscard]] Result<void, ValueError> check_network(std::string_view text);
/// "server.crt:server.key": two files.
[[nodiscard]] Result<void, ValueError> check_file_pair(std::string_view text);
/// A name of RFC 7518, section 3.1, as auth/ knows it; `none` is none.
[[nodiscard]] Result<void, ValueError> check_jwt_algorithm(std::string_view text);
/// Empty, or as parse_service_url() wants it.
[[nodiscard]] Result<void, ValueError> check_service_url(std::string_view text);
/// "password:admin": an authenticator that exists and a name.
[[nodiscard]] Result<void, ValueError> check_admin(std::string_view text);

}  // namespace stentor::config
