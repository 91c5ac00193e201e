#include "server/admin/reply.hpp"

#include <boost/json/serialize.hpp>

namespace stentor::admin {

boost::json::object to_json(const Mistake& mistake) {
    return {{"code", mistake.code},
            {"http", static_cast<unsigned>(mistake.status)},
            {"error", mistake.error},
            {"hint", mistake.hint}};
}

Reply error_reply(const Mistake& mistake) {
    return {.status = mistake.status, .body = boost::json::serialize(to_json(mistake)) + '\n'};
}

Reply error_reply(Status status,
                  std::string_view code,
                  std::string_view error,
                  std::string_view hint) {
    return error_reply(Mistake{
        .status = status, .code = code, .error = std::string{error}, .hint = std::string{hint}});
}

}  // namespace stentor::admin
