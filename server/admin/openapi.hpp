#pragma once
// The OpenAPI 3.1 document, made of the routes; the schemas of what they carry are here.
// Pure. Any thread.

#include "server/admin/route.hpp"

#include <boost/json/object.hpp>

#include <span>
#include <string_view>

namespace stentor::admin {

[[nodiscard]] boost::json::object openapi_document(std::span<const RouteInfo> routes,
                                                   std::string_view version);

}  // namespace stentor::admin
