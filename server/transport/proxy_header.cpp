#include "server/transport/proxy_header.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

namespace stentor::server {

namespace {

using Step = std::variant<ProxyNeedsMore, ProxyMalformed, ProxyHeader>;

constexpr std::string_view kSignature2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view kSignature1{"PROXY "};
constexpr std::size_t kLine1BytesMax = 107;
constexpr std::size_t kFixed2Bytes = 16;

bool is_address(const std::string& text, int family) {
    std::array<std::uint8_t, 16> ignored{};
    return ::inet_pton(family, text.c_str(), ignored.data()) == 1;
}

bool is_port(const std::string& text, std::uint16_t& port) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    return error == std::errc{} && stop == end;
}

/// "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n", section 2.1.
Step parse_1(std::string_view text) {
    const std::size_t end = text.substr(0, kLine1BytesMax).find("\r\n");
    if (end == std::string_view::npos) {
        if (text.size() < kLine1BytesMax) return ProxyNeedsMore{};
        return ProxyMalformed{"a PROXY line without an end"};
    }
    std::vector<std::string> words;
    for (std::size_t at = 0; at <= end;) {
        const std::size_t space = std::min(text.find(' ', at), end);
        words.emplace_back(text.substr(at, space - at));
        at = space + 1;
    }
    ProxyHeader header{.bytes_used = end + 2, .address = {}};
    if (words.size() >= 2 && words[1] == "UNKNOWN") return header;
    if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) {
        return ProxyMalformed{"a PROXY line with the wrong words"};
    }
    const int family = words[1] == "TCP4" ? AF_INET : AF_INET6;
    if (!is_address(words[2], family) || !is_address(words[3], family)) {
        return ProxyMalformed{"a PROXY line with a wrong address"};
    }
    std::uint16_t to = 0;
    if (!is_port(words[4], header.port) || !is_port(words[5], to)) {
        return ProxyMalformed{"a PROXY line with a wrong port"};
    }
    header.address = words[2];
    return header;
}

/// Section 2.2: signature, version and command, family, length, addresses, TLVs.
Step parse_2(ByteView bytes) {
    if (bytes.size() < kFixed2Bytes) return ProxyNeedsMore{};
    const auto version_command = std::to_integer<unsigned>(bytes[12]);
    const auto family = std::to_integer<unsigned>(bytes[13]) >> 4U;
    const std::size_t length = load_u16(bytes.subspan(14));
    if (version_command >> 4U != 2 || (version_command & 0xFU) > 1) {
        return ProxyMalformed{"a PROXY header of an unknown version or command"};
    }
    const bool is_local = (version_command & 0xFU) == 0;  // the proxy's own health check
    if (!is_local && (family > 3 || (std::to_integer<unsigned>(bytes[13]) & 0xFU) > 1)) {
        return ProxyMalformed{"a PROXY header of datagrams, or of an unknown family"};
    }
    if (kFixed2Bytes + length > kProxyHeaderBytesMax) {
        return ProxyMalformed{"a PROXY header that is too long"};
    }
    if (bytes.size() < kFixed2Bytes + length) return ProxyNeedsMore{};
    ProxyHeader header{.bytes_used = kFixed2Bytes + length, .address = {}};
    if (is_local) return header;
    const ByteView addresses = bytes.subspan(kFixed2Bytes, length);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (family == 1) {
        if (length < 12) return ProxyMalformed{"a PROXY header that is too short"};
        ::inet_ntop(AF_INET, addresses.data(), text.data(), text.size());
        header.port = load_u16(addresses.subspan(8));
    } else if (family == 2) {
        if (length < 36) return ProxyMalformed{"a PROXY header that is too short"};
        ::inet_ntop(AF_INET6, addresses.data(), text.data(), text.size());
        header.port = load_u16(addresses.subspan(32));
    }
    header.address = text.data();
    return header;
}

}  // namespace

Step parse_proxy_header(ByteView bytes) {
    const std::string_view text = as_text(bytes);
    const auto begins = [&](std::string_view signature) {
        return text.substr(0, signature.size()) == signature.substr(0, text.size());
    };
    if (begins(kSignature1)) {
        return text.size() < kSignature1.size() ? Step{ProxyNeedsMore{}} : parse_1(text);
    }
    if (begins(kSignature2)) {
        return text.size() < kSignature2.size() ? Step{ProxyNeedsMore{}} : parse_2(bytes);
    }
    return ProxyMalformed{"no PROXY header"};
}

bool begins_proxy_header(ByteView bytes) noexcept {
    const std::string_view text = as_text(bytes);
    return text.starts_with(kSignature1) || text.starts_with(kSignature2.substr(0, 4));
}

}  // namespace stentor::server
