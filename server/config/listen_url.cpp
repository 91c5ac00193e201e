#include "server/config/listen_url.hpp"

#include "base/suggest.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <netinet/in.h>
#include <optional>
#include <span>
#include <utility>

namespace stentor::config {
namespace {

struct SchemeFacts {
    Scheme scheme;
    std::string_view name;
    std::uint16_t default_port;
};

constexpr std::array<SchemeFacts, 8> kSchemes{{
    {Scheme::mqtt, "mqtt", 1883},
    {Scheme::mqtts, "mqtts", 8883},
    {Scheme::ws, "ws", 8083},
    {Scheme::wss, "wss", 8084},
    {Scheme::http, "http", 8080},
    {Scheme::https, "https", 8443},
    {Scheme::unix_socket, "unix", 0},
    {Scheme::automatic, "auto", 1883},
}};

// What users of other brokers write.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kOtherNames{{
    {"tcp", "mqtt"},
    {"ssl", "mqtts"},
    {"tls", "mqtts"},
    {"websocket", "ws"},
    {"websockets", "ws"},
}};

constexpr std::string_view kExample = "for example \"mqtt://127.0.0.1:1883\"";
constexpr std::size_t kUnixPathBytesMax = 107;  // sockaddr_un has room for these and a final 0

const SchemeFacts& facts(Scheme scheme) noexcept {
    return kSchemes[static_cast<std::size_t>(scheme)];
}

bool is_ipv4(const std::string& host) noexcept {
    in_addr address{};
    return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

std::optional<in6_addr> ipv6(std::string_view host) noexcept {
    const std::string name{host.substr(0, host.find('%'))};  // a zone ("%eth0") is not inet_pton's
    in6_addr address{};
    if (inet_pton(AF_INET6, name.c_str(), &address) != 1) return std::nullopt;
    return address;
}

bool is_host_name(std::string_view host) noexcept {
    return std::all_of(host.begin(), host.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    });
}

/// The whole text with positions, so that every error can point at its stretch.
class Parser {
  public:
    explicit Parser(std::string_view text) noexcept : text_{text} {}

    Result<ListenUrl, UrlError> parse() {
        STENTOR_TRY(url_.scheme, scheme());
        const std::string_view rest = text_.substr(position_);
        if (url_.scheme == Scheme::unix_socket) return unix_path(rest);
        const std::size_t authority_length = std::min(rest.find_first_of("/?#"), rest.size());
        STENTOR_TRY_VOID(authority(rest.substr(0, authority_length)));
        STENTOR_TRY_VOID(path(rest.substr(authority_length)));
        return std::move(url_);
    }

  private:
    [[nodiscard]] UrlError fail(std::string what,
                                std::string_view hint,
                                std::string_view stretch) const {
        return {.what = std::move(what),
                .hint = std::string{hint},
                .offset = static_cast<std::size_t>(stretch.data() - text_.data()),
                .length = stretch.size()};
    }

    Result<Scheme, UrlError> scheme() {
        const auto end = text_.find("://");
        if (end == std::string_view::npos) {
            const bool port_only =
                !text_.empty() && text_.find_first_not_of("0123456789") == std::string_view::npos;
            const std::string hint = port_only
                                         ? "write \"mqtt://127.0.0.1:" + std::string{text_} + "\""
                                         : "write scheme://host:port, " + std::string{kExample};
            return fail("a listener URL needs a scheme", hint, text_);
        }
        const std::string_view name = text_.substr(0, end);
        position_ = end + 3;
        for (const SchemeFacts& known : kSchemes) {
            if (known.name == name) return known.scheme;
        }
        return fail("unknown scheme \"" + std::string{name} + "\"", scheme_hint(name), name);
    }

    static std::string scheme_hint(std::string_view name) {
        for (const auto& [other, ours] : kOtherNames) {
            if (other == name) return "write \"" + std::string{ours} + "://\"";
        }
        std::vector<std::string_view> names;
        names.reserve(std::size(kSchemes));
        for (const SchemeFacts& known : kSchemes) names.push_back(known.name);
        if (const auto guess = nearest(name, names); !guess.empty()) {
            return "did you mean \"" + std::string{guess} + "://\"?";
        }
        return "schemes are mqtt, mqtts, ws, wss, http, https, unix, auto";
    }

    Result<ListenUrl, UrlError> unix_path(std::string_view rest) {
        if (rest.empty() || rest.front() != '/' || rest.size() == 1) {
            return fail("a unix listener needs an absolute path",
                        "three slashes: \"unix:///run/stentor/mqtt.sock\"",
                        rest);
        }
        if (rest.size() > kUnixPathBytesMax) {
            return fail("the path of a unix socket has at most 107 bytes", "", rest);
        }
        url_.path = rest;
        return std::move(url_);
    }

    Result<void, UrlError> authority(std::string_view text) {
        if (text.find('@') != std::string_view::npos) {
            return fail("a listener URL has no user name",
                        "who may connect is set in [auth], for example auth.password_file",
                        text.substr(0, text.find('@')));
        }
        std::string_view after_host;
        if (!text.empty() && text.front() == '[') {
            const auto end = text.find(']');
            if (end == std::string_view::npos || !ipv6(text.substr(1, end - 1))) {
                return fail("not an IPv6 address in brackets", R"(write "[::1]" or "[::]")", text);
            }
            url_.host = text.substr(1, end - 1);
            after_host = text.substr(end + 1);
        } else {
            if (std::count(text.begin(), text.end(), ':') > 1) {
                return fail("an IPv6 address stands in brackets", "write \"[::1]:1883\"", text);
            }
            const auto end = std::min(text.find(':'), text.size());
            STENTOR_TRY_VOID(host(text.substr(0, end)));
            after_host = text.substr(end);
        }
        return port(after_host);
    }

    Result<void, UrlError> host(std::string_view name) {
        if (name.empty() || name == "*") {
            return fail(name.empty() ? "the host is missing" : "\"*\" is not a host",
                        "write 127.0.0.1 for this machine only, 0.0.0.0 or [::] for all addresses",
                        name.empty() ? text_ : name);
        }
        url_.host = name;
        const bool numeric = name.find_first_not_of("0123456789.") == std::string_view::npos;
        if (numeric ? !is_ipv4(url_.host) : !is_host_name(name)) {
            return fail("\"" + url_.host + "\" is neither an address nor a host name",
                        numeric ? "an IPv4 address has four numbers from 0 to 255" : "",
                        name);
        }
        return {};
    }

    Result<void, UrlError> port(std::string_view text) {
        if (text.empty()) {
            url_.port = facts(url_.scheme).default_port;
            return {};
        }
        constexpr std::string_view kHint = "a port is a number from 0 to 65535; 0 picks a free one";
        const std::string_view digits = text.substr(1);
        if (text.front() != ':' || digits.empty()) return fail("not a port", kHint, text);
        const char* const end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, url_.port);
        if (read.ec != std::errc{} || read.ptr != end) {
            return fail("\"" + std::string{digits} + "\" is not a port", kHint, digits);
        }
        return {};
    }

    Result<void, UrlError> path(std::string_view text) {
        if (const auto at = text.find_first_of("?#"); at != std::string_view::npos) {
            return fail("a listener URL ends after the path", "", text.substr(at));
        }
        if (url_.scheme == Scheme::ws || url_.scheme == Scheme::wss) {
            url_.path = text.empty() ? "/mqtt" : text;
            return {};
        }
        if (text.empty() || text == "/") return {};
        return fail("only ws:// and wss:// listeners have a path", "", text);
    }

    std::string_view text_;
    std::size_t position_ = 0;
    ListenUrl url_;
};

}  // namespace

std::string_view scheme_name(Scheme scheme) noexcept { return facts(scheme).name; }

Result<ListenUrl, UrlError> parse_listen_url(std::string_view text) {
    const auto odd = std::find_if(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) <= 0x20U || c == 0x7F;
    });
    if (odd != text.end()) {
        return UrlError{.what = "a listener URL has no blanks or control characters",
                        .hint = std::string{kExample},
                        .offset = static_cast<std::size_t>(odd - text.begin()),
                        .length = 1};
    }
    return Parser{text}.parse();
}

std::string to_string(const ListenUrl& url) {
    std::string text{scheme_name(url.scheme)};
    text += "://";
    if (url.scheme == Scheme::unix_socket) return text + url.path;
    const bool bracketed = url.host.find(':') != std::string::npos;
    text += bracketed ? '[' + url.host + ']' : url.host;
    return text + ':' + std::to_string(url.port) + url.path;
}

bool is_loopback_address(std::string_view host) noexcept {
    // Host names have at most 255 bytes; anything longer is no address either.
    if (host.size() > 255) return false;
    const std::string name{host};
    if (is_ipv4(name)) return name.starts_with("127.");
    const auto address = ipv6(host);
    if (!address) return false;
    if (IN6_IS_ADDR_LOOPBACK(&*address)) return true;
    return IN6_IS_ADDR_V4MAPPED(&*address) && address->s6_addr[12] == 127;
}

bool is_loopback(const ListenUrl& url) noexcept {
    if (url.scheme == Scheme::unix_socket) return true;
    return url.host == "localhost" || is_loopback_address(url.host);
}

}  // namespace stentor::config
