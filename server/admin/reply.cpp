#include "server/admin/reply.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace stentor::admin {

Reply error_reply(Status status,
                  std::string_view code,
                  std::string_view error,
                  std::string_view hint) {
    const boost::json::object body{
        {"code", code}, {"http", static_cast<unsigned>(status)}, {"error", error}, {"hint", hint}};
    return {.status = status, .body = boost::json::serialize(body) + '\n'};
}

}  // namespace stentor::admin
