#include "server/config/service_url.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

namespace stentor::config {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

ValueError wrong(std::string what, std::string hint = {}) {
    if (hint.empty()) hint = "for example \"https://auth.example.org/mqtt/login\"";
    return {.what = std::move(what), .hint = std::move(hint)};
}

}  // namespace

Result<ServiceUrl, ValueError> parse_service_url(std::string_view text) {
    const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
    // The text is not repeated: a password may stand in it.
    if (!parsed) return wrong("not a URL: " + parsed.error().message());
    const boost::urls::url_view& url = *parsed;
    const bool uses_tls = url.scheme_id() == boost::urls::scheme::https;
    if (!uses_tls && url.scheme_id() != boost::urls::scheme::http) {
        return wrong('"' + std::string{url.scheme()} + "://\" is no web service's",
                     "write \"https://\", or \"http://\" for one on this machine");
    }
    if (url.has_userinfo()) {
        return wrong("no name and password in this URL: it is shown in logs",
                     "put \"Authorization: Basic ...\" into the file of auth.http.headers_file");
    }
    if (url.has_fragment()) return wrong("a service is asked without a fragment (#...)");
    ServiceUrl service;
    service.uses_tls = uses_tls;
    service.host = url.host_address();
    if (service.host.empty()) return wrong("the host is missing");
    service.port = uses_tls ? kHttpsPort : kHttpPort;
    if (url.has_port() && !url.port().empty()) {
        service.port = url.port_number();
        if (service.port == 0) return wrong("a port is a number from 1 to 65535");
    }
    const auto target = url.encoded_target();
    service.target.assign(target.data(), target.size());
    if (!service.target.starts_with('/')) service.target.insert(0, 1, '/');
    return service;
}

}  // namespace stentor::config
