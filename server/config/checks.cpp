#include "server/config/checks.hpp"

#include "base/suggest.hpp"
#include "server/config/service_url.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <netinet/in.h>
#include <string>

namespace stentor::config {
namespace {

constexpr std::array<std::string_view, 4> kAuthenticators{"password", "certificate", "jwt", "http"};
constexpr std::array<std::string_view, 12> kJwtAlgorithms{"HS256",
                                                          "HS384",
                                                          "HS512",
                                                          "RS256",
                                                          "RS384",
                                                          "RS512",
                                                          "PS256",
                                                          "PS384",
                                                          "PS512",
                                                          "ES256",
                                                          "ES384",
                                                          "ES512"};
constexpr std::size_t kNodeNameMax = 64;

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

bool is_text(unsigned char c) noexcept { return c > 0x20U && c != 0x7FU; }

}  // namespace

Result<void, ValueError> check_not_empty(std::string_view text) {
    if (!text.empty()) return {};
    return ValueError{.what = "must not be empty", .hint = {}};
}

Result<void, ValueError> check_data_directory(std::string_view text) {
    if (text.empty()) return check_not_empty(text);
    if (!text.starts_with(':') || text == ":memory:") return {};
    return ValueError{.what = "is neither \":memory:\" nor a path",
                      .hint = "for a directory of that name write \"./" + std::string{text} + '"'};
}

Result<void, ValueError> check_node_name(std::string_view text) {
    const bool good = !text.empty() && text.size() <= kNodeNameMax &&
                      std::all_of(text.begin(),
                                  text.end(),
                                  [](char c) { return is_text(static_cast<unsigned char>(c)); }) &&
                      text.find_first_of("/+#\"\\") == std::string_view::npos;
    if (good) return {};
    return ValueError{.what = quoted(text) + " is not a name",
                      .hint = "1 to 64 characters without blanks, '/', '+', '#', '\"' and '\\'"};
}

Result<void, ValueError> check_origin(std::string_view text) {
    const bool is_web = text.starts_with("http://") || text.starts_with("https://");
    const std::string_view host = is_web ? text.substr(text.find("://") + 3) : "";
    if (!host.empty() && host.find_first_of("/?#*@, ") == std::string_view::npos) return {};
    return ValueError{.what = quoted(text) + " is not a web site's origin",
                      .hint = "scheme, host and perhaps port, without a path: https://example.org"};
}

Result<void, ValueError> check_network(std::string_view text) {
    const auto slash = std::min(text.find('/'), text.size());
    const std::string host{text.substr(0, slash)};
    std::array<unsigned char, sizeof(in6_addr)> address{};
    unsigned bits_max = 0;
    if (inet_pton(AF_INET, host.c_str(), address.data()) == 1) bits_max = 32;
    if (inet_pton(AF_INET6, host.c_str(), address.data()) == 1) bits_max = 128;
    bool good = bits_max != 0 && host.size() == slash;
    if (good && slash < text.size()) {
        const std::string_view digits = text.substr(slash + 1);
        const char* const end = digits.data() + digits.size();
        unsigned bits = 0;
        const auto read = std::from_chars(digits.data(), end, bits);
        good = read.ec == std::errc{} && read.ptr == end && bits <= bits_max;
    }
    if (good) return {};
    return ValueError{.what = quoted(text) + " is neither an address nor a network",
                      .hint = R"(write "192.0.2.1" or "10.0.0.0/8")"};
}

Result<void, ValueError> check_file_pair(std::string_view text) {
    const auto colon = text.find(':');
    if (colon != std::string_view::npos && colon != 0 && colon + 1 != text.size() &&
        text.find(':', colon + 1) == std::string_view::npos) {
        return {};
    }
    return ValueError{.what = quoted(text) + " does not name two files",
                      .hint = "write certificate:key, for example \"b.crt:b.key\""};
}

Result<void, ValueError> check_jwt_algorithm(std::string_view text) {
    if (std::find(kJwtAlgorithms.begin(), kJwtAlgorithms.end(), text) != kJwtAlgorithms.end()) {
        return {};
    }
    const std::string_view guess = nearest(text, kJwtAlgorithms);
    return ValueError{.what = quoted(text) + " is no algorithm that tokens are accepted with",
                      .hint = guess.empty() ? "algorithms are HS256, RS256, PS256, ES256 and those "
                                              "with 384 and 512"
                                            : "did you mean " + quoted(guess) + "?"};
}

Result<void, ValueError> check_service_url(std::string_view text) {
    if (text.empty()) return {};
    STENTOR_TRY(const ServiceUrl url, parse_service_url(text));
    (void)url;
    return {};
}

Result<void, ValueError> check_admin(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) {
        return ValueError{.what = quoted(text) + " does not say who vouches for the name",
                          .hint = "write authenticator:name, for example \"password:admin\""};
    }
    const std::string_view authenticator = text.substr(0, colon);
    if (std::find(kAuthenticators.begin(), kAuthenticators.end(), authenticator) !=
        kAuthenticators.end()) {
        return {};
    }
    const std::string_view guess = nearest(authenticator, kAuthenticators);
    return ValueError{.what = "unknown authenticator " + quoted(authenticator),
                      .hint = guess.empty()
                                  ? "authenticators are password, certificate, jwt and http"
                                  : "did you mean " + quoted(guess) + "?"};
}

}  // namespace stentor::config
