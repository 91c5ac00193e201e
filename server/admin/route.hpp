#pragma once
// What a route of the HTTP API is: method, path, who may, and what the OpenAPI document says of it.
// The table itself is Api's (api.cpp); dispatching, 405 with Allow and the document are made of it.
// Pure. Any thread.

#include <boost/beast/http/verb.hpp>

#include <cstdint>
#include <optional>
#include <ostream>  // for verb.hpp, which leaves it out
#include <span>
#include <string>
#include <string_view>

namespace stentor::admin {

/// Who may come: anybody; administrators, and who is let in without a name on this machine;
/// whoever is let in (the rest is up to the rules); administrators.
enum class Permission : std::uint8_t { anybody, figures, admitted, admins };

enum class ParameterIn : std::uint8_t { path, query, header };
enum class ParameterType : std::uint8_t { text, number, flag };

struct Parameter {
    std::string_view name;
    ParameterIn in = ParameterIn::query;
    ParameterType type = ParameterType::text;
    std::string_view description;
};

/// What a request or an answer carries: a schema of the document (schemas.hpp), or bytes as they
/// are.
struct Content {
    std::string_view media_type;  // empty: nothing
    std::string_view schema = {};
};

/// All texts are literals.
struct RouteInfo {
    boost::beast::http::verb method;
    /// Segments are literal, but for one "{name}", which stands for a segment that is not empty, or
    /// for all that follows if it is "{name...}".
    std::string_view path;
    Permission permission = Permission::admins;
    std::string_view summary;
    std::span<const Parameter> parameters = {};
    Content body = {};
    unsigned status = 200;  // of success
    Content answer = {};
    std::string_view other_statuses = {};  // "400 404": what it says besides 401, 403 and 503
};

/// What the path's "{...}" stands for, percent-encoded as it came; empty if it has none. Nothing:
/// the path does not fit.
[[nodiscard]] std::optional<std::string_view> path_value(std::string_view pattern,
                                                         std::string_view path);

/// A name in braces as the document writes it: "{topic...}" is "{topic}".
[[nodiscard]] std::string documented_path(std::string_view pattern);

}  // namespace stentor::admin
