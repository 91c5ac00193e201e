#include "server/transport/http_fields.hpp"

#include <boost/beast/core/string.hpp>

namespace stentor::server {

std::string list_of(const boost::beast::http::fields& head, std::string_view name) {
    std::string list;
    const auto [begin, end] = head.equal_range({name.data(), name.size()});
    for (auto field = begin; field != end; ++field) {
        if (field != begin) list += ", ";
        list.append(field->value().data(), field->value().size());
    }
    return list;
}

bool is_mark_of_proxy(std::string_view field) {
    static constexpr std::string_view kForwarded = "X-Forwarded-";
    const auto is = [](std::string_view text, std::string_view name) {
        return boost::beast::iequals({text.data(), text.size()}, {name.data(), name.size()});
    };
    return is(field.substr(0, kForwarded.size()), kForwarded) || is(field, "Forwarded") ||
           is(field, "X-Real-IP") || is(field, "Via");
}

}  // namespace stentor::server
