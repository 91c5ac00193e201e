#include "server/admin/request_check.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace stentor::admin {
namespace {

namespace http = boost::beast::http;

/// The status that this head is answered with; 200: it is let through.
unsigned status_of(std::string_view head) {
    http::request_parser<http::string_body> parser;
    boost::beast::error_code error;
    (void)parser.put(boost::asio::const_buffer{head.data(), head.size()}, error);
    if (error && error != http::error::need_more) {
        return static_cast<unsigned>(reply_to(error, false).status);
    }
    EXPECT_TRUE(parser.is_header_done());
    const auto bad = check_head(parser.get().base());
    return bad ? static_cast<unsigned>(bad->status) : 200;
}

unsigned with(std::string_view fields) {
    return status_of("POST /x HTTP/1.1\r\nHost: h\r\n" + std::string{fields} + "\r\n");
}

TEST(RequestCheck, LetsOrdinaryRequestsThrough) {
    EXPECT_EQ(with(""), 200);
    EXPECT_EQ(with("Content-Length: 5\r\n"), 200);
    EXPECT_EQ(with("Transfer-Encoding: chunked\r\n"), 200);
    EXPECT_EQ(status_of("GET /x?y=1 HTTP/1.0\r\n\r\n"), 200);
    EXPECT_EQ(status_of("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
}

TEST(RequestCheck, RefusesWhatTwoProgramsCouldUnderstandDifferently) {
    EXPECT_EQ(with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
    EXPECT_EQ(with("Content-Length: 5, 5\r\n"), 400);
    EXPECT_EQ(with("Content-Length: +5\r\n"), 400);
    EXPECT_EQ(with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400);
    EXPECT_EQ(with("Host: other\r\n"), 400);
    EXPECT_EQ(status_of("GET /x HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(status_of("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

TEST(RequestCheck, SaysWhichCodingItHas) {
    EXPECT_EQ(with("Transfer-Encoding: gzip\r\n"), 501);
    EXPECT_EQ(with("Transfer-Encoding: gzip, chunked\r\n"), 501);
}

TEST(RequestCheck, RefusesOtherSitesPages) {
    EXPECT_EQ(with("Origin: http://h\r\n"), 200);
    EXPECT_EQ(with("Origin: http://elsewhere\r\n"), 403);
    EXPECT_EQ(with("Origin: null\r\n"), 403);
    EXPECT_EQ(with("Origin: http://h\r\nOrigin: http://h\r\n"), 403);
    EXPECT_EQ(with("Origin:\r\n"), 403);
}

/// The origin that may ask.
std::string origin_of(const std::string& fields) {
    const std::vector<std::string> allowed{"https://friend.example", "http://other:8080"};
    http::request_parser<http::string_body> parser;
    boost::beast::error_code error;
    const std::string head = "OPTIONS /x HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
    (void)parser.put(boost::asio::const_buffer{head.data(), head.size()}, error);
    const Head& base = parser.get().base();
    const std::string origin{cors_origin(base, allowed)};
    const bool is_refused = check_head(base, allowed).has_value();
    EXPECT_EQ(is_refused,
              origin.empty() && base.count(http::field::origin) != 0 &&
                  fields.find("http://h\r") == std::string::npos);
    if (const auto answer = answer_to_preflight(base)) {
        EXPECT_EQ(answer->status, Status::no_content);
        return origin + " preflight";
    }
    return origin;
}

TEST(RequestCheck, LetsPagesOfNamedSitesAsk) {
    EXPECT_EQ(origin_of("Origin: https://friend.example\r\n"), "https://friend.example");
    EXPECT_EQ(origin_of("Origin: HTTPS://Friend.Example\r\n"), "HTTPS://Friend.Example");
    EXPECT_EQ(origin_of("Origin: http://other:8080\r\nAccess-Control-Request-Method: GET\r\n"),
              "http://other:8080 preflight");
    for (const char* no : {"Origin: http://friend.example\r\n",
                           "Origin: https://friend.example.evil\r\n",
                           "Origin: https://friend.example:443\r\n",
                           "Origin: null\r\n",
                           "Origin: https://friend.example\r\nOrigin: https://evil\r\n",
                           "Origin: http://h\r\n",
                           ""}) {
        EXPECT_EQ(origin_of(no), "") << no;
    }
}

TEST(RequestCheck, AnswersWhatTheParserRefuses) {
    EXPECT_EQ(status_of("hello\r\n\r\n"), 400);
    EXPECT_EQ(static_cast<unsigned>(reply_to(http::error::header_limit, false).status), 431);
    EXPECT_EQ(static_cast<unsigned>(reply_to(http::error::body_limit, true).status), 413);
    EXPECT_EQ(static_cast<unsigned>(reply_to(http::error::bad_version, false).status), 505);
}

}  // namespace
}  // namespace stentor::admin
