#pragma once
// What an HTTP request is answered with, and the one shape of errors: {code, http, error, hint}.
// Values. Any thread.

#include <boost/beast/http/status.hpp>
#include <boost/json/object.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::admin {

using Status = boost::beast::http::status;

struct Reply {
    Status status = Status::ok;
    std::string body = {};
    std::string_view content_type = "application/json";                  // a literal
    std::vector<std::pair<std::string_view, std::string>> headers = {};  // names are literals
    std::shared_ptr<void> room = nullptr;  // what it holds of a bound, until it is written
};

/// What an error consists of: `code` is for programs and never changes, `error` says what is wrong,
/// `hint` what to do.
struct Mistake {
    Status status = Status::bad_request;
    std::string_view code = "bad_request";  // a literal
    std::string error = {};
    std::string hint = {};
};
[[nodiscard]] boost::json::object to_json(const Mistake& mistake);
[[nodiscard]] Reply error_reply(const Mistake& mistake);

[[nodiscard]] Reply error_reply(Status status,
                                std::string_view code,
                                std::string_view error,
                                std::string_view hint = {});

}  // namespace stentor::admin
