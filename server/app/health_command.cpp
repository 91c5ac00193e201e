#include "server/app/health_command.hpp"

#include "base/asio/tcp_connect.hpp"
#include "server/app/exit_code.hpp"
#include "server/config/service_url.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <utility>
#include <vector>

namespace stentor::app {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

struct Asked {
    unsigned status = 0;  // 0: no answer
    std::string why;
};

Asked failed(const boost::system::error_code& error) { return {.why = error.message()}; }

asio::awaitable<Asked> ask(config::ServiceUrl url) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::resolver resolver{executor};
    const auto [unresolved, found] =
        co_await resolver.async_resolve(url.host, std::to_string(url.port), kTuple);
    if (unresolved) co_return failed(unresolved);
    std::vector<tcp::endpoint> endpoints{found.begin(), found.end()};
    auto connected = co_await connect_to_first(std::move(endpoints), {});
    if (!connected) co_return failed(connected.error());
    tcp::socket socket = *std::move(connected);
    http::request<http::empty_body> request{http::verb::get, url.target, 11};
    request.set(http::field::host, url.host);
    request.set(http::field::connection, "close");
    const auto [unsent, sent] = co_await http::async_write(socket, request, kTuple);
    if (unsent) co_return failed(unsent);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    const auto [unread, read] = co_await http::async_read(socket, buffer, response, kTuple);
    if (unread) co_return failed(unread);
    co_return Asked{.status = response.result_int(), .why = response.body()};
}

}  // namespace

int run_health(const HealthArguments& arguments) {
    auto url = config::parse_service_url(arguments.url);
    if (!url || url->uses_tls) {
        std::cerr << "stentor health: " << arguments.url << ": "
                  << (url ? "http:// only: ask a listener of this machine" : url.error().what)
                  << '\n';
        return kExitUsage;
    }
    asio::io_context io;
    Asked asked{.why = "no answer in time"};
    asio::co_spawn(io, ask(*std::move(url)), [&](const std::exception_ptr& thrown, Asked answer) {
        if (thrown) std::rethrow_exception(thrown);
        asked = std::move(answer);
    });
    io.run_for(std::chrono::seconds{arguments.seconds_max});
    if (asked.status == 200) {
        std::cout << "ok\n";
        return kExitOk;
    }
    std::cerr << "stentor health: " << arguments.url << ": ";
    if (asked.status != 0) std::cerr << asked.status << ' ';
    std::cerr << asked.why << '\n';
    return kExitFailed;
}

}  // namespace stentor::app
