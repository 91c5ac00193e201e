#include "server/transport/forwarded_for.hpp"

#include <charconv>
#include <system_error>

namespace stentor::server {

namespace {

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Of ":5678".
bool read_port(std::string_view text, std::uint16_t& port) {
    if (text.size() < 2 || text.front() != ':') return false;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, port);
    return error == std::errc{} && stop == end;
}

std::optional<ForwardedClient> read_element(std::string_view text) {
    ForwardedClient client;
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) return std::nullopt;
        client.address = text.substr(1, bracket - 1);
        if (client.address.find(':') == std::string::npos) return std::nullopt;
        text.remove_prefix(bracket + 1);
        if (!text.empty() && !read_port(text, client.port)) return std::nullopt;
    } else {
        // More than one colon is IPv6, which has no port without brackets.
        const std::size_t colon = text.find(':');
        const bool has_port = colon != std::string_view::npos && colon == text.rfind(':');
        if (has_port && !read_port(text.substr(colon), client.port)) return std::nullopt;
        client.address = has_port ? text.substr(0, colon) : text;
    }
    if (!NetworkList::is_address(client.address)) return std::nullopt;
    return client;
}

}  // namespace

std::optional<ForwardedClient> forwarded_client(std::string_view list, const NetworkList& trusted) {
    ForwardedClient last;
    while (!list.empty()) {
        const std::size_t comma = list.rfind(',');
        const bool is_first = comma == std::string_view::npos;
        const std::string_view text = trimmed(is_first ? list : list.substr(comma + 1));
        list = is_first ? std::string_view{} : list.substr(0, comma);
        if (text.empty()) continue;  // lists may have empty elements (RFC 9110 5.6.1.2)
        auto client = read_element(text);
        if (!client) return std::nullopt;
        last = *std::move(client);
        last.is_proxy = trusted.contains(last.address);
        if (!last.is_proxy) break;
    }
    return last;
}

}  // namespace stentor::server
