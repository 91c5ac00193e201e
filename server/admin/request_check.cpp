#include "server/admin/request_check.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/verb.hpp>

#include <algorithm>
#include <string_view>

namespace stentor::admin {

namespace http = boost::beast::http;

namespace {

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

Reply bad_request(std::string_view error, std::string_view hint = {}) {
    return error_reply(Status::bad_request, "bad_request", error, hint);
}

/// Whose host is the one that is asked.
bool is_own_page(const Head& head) {
    const std::string_view origin = view(head[http::field::origin]);
    const std::size_t slashes = origin.find("://");
    return slashes != std::string_view::npos && head.count(http::field::origin) == 1 &&
           origin.substr(slashes + 3) == view(head[http::field::host]);
}

}  // namespace

std::optional<Reply> check_head(const Head& head, std::span<const std::string> cors_origins) {
    const std::string_view target = view(head.target());
    if (!target.starts_with('/') && target != "*") {
        return bad_request("the request's target is no path", "write \"GET /path HTTP/1.1\"");
    }
    const auto hosts = head.count(http::field::host);
    if (hosts > 1 || (head.version() == 11 && hosts == 0)) {
        return bad_request("a request needs one Host header");
    }
    if (head.count(http::field::transfer_encoding) != 0) {
        const bool is_chunked =
            head.count(http::field::transfer_encoding) == 1 &&
            boost::beast::iequals(head[http::field::transfer_encoding], "chunked");
        if (!is_chunked) {
            return error_reply(Status::not_implemented,
                               "not_implemented",
                               "a Transfer-Encoding other than chunked");
        }
        if (head.version() != 11 || head.count(http::field::content_length) != 0) {
            return bad_request("Transfer-Encoding with Content-Length, or in HTTP/1.0");
        }
    }
    if (head.count(http::field::content_length) > 1) {
        return bad_request("more than one Content-Length");
    }
    const std::string_view length = view(head[http::field::content_length]);
    if (length.find_first_not_of("0123456789") != std::string_view::npos) {
        return bad_request("a Content-Length that is no number");  // "5, 5" is two of them
    }
    // What another site's page asks a browser to do is not done, unless it is one of those.
    if (head.count(http::field::origin) != 0 && !is_own_page(head) &&
        cors_origin(head, cors_origins).empty()) {
        return error_reply(Status::forbidden,
                           "cross_origin",
                           "a request from another site's page (Origin)",
                           "http.cors_origins names the sites that may; or let your own server "
                           "ask this one");
    }
    return std::nullopt;
}

std::string_view cors_origin(const Head& head, std::span<const std::string> cors_origins) {
    if (head.count(http::field::origin) != 1 || is_own_page(head)) return {};
    const std::string_view origin = view(head[http::field::origin]);
    const bool may = std::ranges::any_of(cors_origins, [&](const std::string& each) {
        return boost::beast::iequals({each.data(), each.size()}, {origin.data(), origin.size()});
    });
    return may ? origin : std::string_view{};
}

std::optional<Reply> answer_to_preflight(const Head& head) {
    if (head.method() != http::verb::options ||
        head.count(http::field::access_control_request_method) == 0) {
        return std::nullopt;
    }
    Reply reply{.status = Status::no_content};
    reply.headers = {
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE"},
        {"Access-Control-Allow-Headers", "Authorization, Content-Type, QoS, Retain, TTL"},
        {"Access-Control-Max-Age", "600"}};
    return reply;
}

Reply reply_to(const boost::beast::error_code& error, bool head_is_done) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return error_reply(Status::request_header_fields_too_large,
                           "header_too_large",
                           "the head of the request is too long",
                           "16 KiB are allowed");
    }
    if (error == http::error::body_limit) {
        return error_reply(Status::payload_too_large,
                           "body_too_large",
                           "the body of the request is too long",
                           "a payload is bounded by limits.packet_bytes_max, JSON by 4 MiB; "
                           "other requests have no body");
    }
    if (error == http::error::bad_version) {
        return error_reply(Status::http_version_not_supported,
                           "http_version",
                           "HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    return bad_request(
        head_is_done ? "the body of the request is malformed" : "what came is no HTTP request",
        error.message());
}

}  // namespace stentor::admin
