#include "tools/bench/target.hpp"

#include "tools/client/tls_context.hpp"

#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/un.h>

namespace stentor::bench {
namespace {

using tools::UsageError;

constexpr std::uint32_t kLoopback = 0x7F00'0001;

bool is_loopback(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        return (ntohl(v4.sin_addr.s_addr) >> 24U) == 127U;
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
    }
    return address.ss_family == AF_UNIX;
}

Result<Target, UsageError> unix_target(const tools::Address& address) {
    Target target;
    auto& to = reinterpret_cast<sockaddr_un&>(target.address);
    if (address.path.size() >= sizeof to.sun_path) {
        return UsageError{fmt::format("the path of the socket is too long: {}", address.path)};
    }
    to.sun_family = AF_UNIX;
    std::copy(address.path.begin(), address.path.end(), to.sun_path);
    target.size = sizeof to;
    target.text = address.to_string();
    target.loopback = true;
    return target;
}

tools::Usage secure(Target& target, const tools::Address& address, const tools::TlsOptions& tls) {
    if (!tools::is_tls(address.scheme)) return {};
    auto context = tools::make_tls_context(tls);
    if (!context) return UsageError{context.error().what, context.error().hint};
    auto security = std::make_shared<Target::Security>();
    security->context = *std::move(context);
    security->address = address;
    security->options = tls;
    target.security = std::move(security);
    return {};
}

}  // namespace

bool Target::has_sources() const noexcept { return address.ss_family == AF_INET && loopback; }

sockaddr_storage Target::source(std::uint32_t n) const noexcept {
    sockaddr_storage source{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(source);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(kLoopback + n % 0x00FF'FFF0U);
    return source;
}

Result<Target, UsageError> resolve(const tools::Address& address, const tools::TlsOptions& tls) {
    if (address.scheme == tools::Scheme::unix_socket) return unix_target(address);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(address.port);
    const int error = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
    if (error != 0) {
        return UsageError{fmt::format("cannot find {}: {}", address.host, ::gai_strerror(error))};
    }
    // "localhost" may be ::1 first; brokers without a configuration listen on 127.0.0.1.
    const addrinfo* chosen = found;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        if (each->ai_family == AF_INET) {
            chosen = each;
            break;
        }
    }
    Target target;
    std::memcpy(&target.address, chosen->ai_addr, chosen->ai_addrlen);
    target.size = chosen->ai_addrlen;
    ::freeaddrinfo(found);
    target.text = address.to_string();
    target.loopback = is_loopback(target.address);
    STENTOR_TRY_VOID(secure(target, address, tls));
    target.is_web_socket = tools::is_websocket(address.scheme);
    target.web_socket_host = fmt::format("{}:{}", address.host, address.port);
    target.web_socket_path = address.path;
    return target;
}

}  // namespace stentor::bench
