#include "tests/scenario/pub_sub/websocket_door.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <array>
#include <thread>
#include <utility>

namespace stentor::scenario {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

struct Pair {
    websocket::stream<tcp::socket> front;
    tcp::socket back;
    void close() {
        boost::system::error_code ignored;
        front.next_layer().close(ignored);
        back.close(ignored);
    }
};

asio::awaitable<void> to_broker(std::shared_ptr<Pair> pair) {
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto [error, n] = co_await pair->front.async_read_some(asio::buffer(buffer), kTuple);
        if (error || !pair->front.got_binary()) break;  // [MQTT-6.0.0-1]
        const auto [failed, m] =
            co_await asio::async_write(pair->back, asio::buffer(buffer.data(), n), kTuple);
        if (failed) break;
    }
    pair->close();
}

asio::awaitable<void> to_client(std::shared_ptr<Pair> pair) {
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto [error, n] = co_await pair->back.async_read_some(asio::buffer(buffer), kTuple);
        if (error) break;
        // Packets need not match frames [MQTT-6.0.0-2]: one byte alone, then the rest.
        const std::array<asio::const_buffer, 2> frames{asio::buffer(buffer.data(), 1),
                                                       asio::buffer(buffer.data() + 1, n - 1)};
        for (const auto& frame : frames) {
            const auto [failed, m] = co_await pair->front.async_write(frame, kTuple);
            if (failed) break;
        }
    }
    co_await pair->front.async_close(websocket::close_code::normal, kTuple);
    pair->close();
}

asio::awaitable<void> accept_one(asio::io_context& io, tcp::socket socket, std::uint16_t target) {
    boost::beast::flat_buffer input;
    http::request<http::empty_body> request;
    const auto [error, n] = co_await http::async_read(socket, input, request, kTuple);
    if (error) co_return;
    if (request.target() != "/mqtt" ||
        request[http::field::sec_websocket_protocol] != "mqtt") {  // [MQTT-6.0.0-3]
        http::response<http::empty_body> response{http::status::not_found, request.version()};
        response.prepare_payload();
        co_await http::async_write(socket, response, kTuple);
        co_return;
    }
    auto pair = std::make_shared<Pair>(
        Pair{websocket::stream<tcp::socket>{std::move(socket)}, tcp::socket{io}});
    pair->front.set_option(websocket::stream_base::decorator{
        [](websocket::response_type& r) { r.set(http::field::sec_websocket_protocol, "mqtt"); }});
    const auto [refused] = co_await pair->front.async_accept(request, kTuple);
    if (refused) co_return;
    pair->front.binary(true);
    const tcp::endpoint endpoint{asio::ip::address_v4::loopback(), target};
    const auto [unreachable] = co_await pair->back.async_connect(endpoint, kTuple);
    if (unreachable) co_return;
    asio::co_spawn(io, to_broker(pair), asio::detached);
    asio::co_spawn(io, to_client(pair), asio::detached);
}

asio::awaitable<void> accept_all(asio::io_context& io, tcp::acceptor& door, std::uint16_t target) {
    for (;;) {
        auto [error, socket] = co_await door.async_accept(kTuple);
        if (error) co_return;
        asio::co_spawn(io, accept_one(io, std::move(socket), target), asio::detached);
    }
}

}  // namespace

struct WebSocketDoor::Impl {
    asio::io_context io{1};
    tcp::acceptor door{io, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    std::jthread thread;
};

WebSocketDoor::WebSocketDoor(std::uint16_t mqtt_port) : impl_{std::make_unique<Impl>()} {
    asio::co_spawn(impl_->io, accept_all(impl_->io, impl_->door, mqtt_port), asio::detached);
    impl_->thread = std::jthread{[impl = impl_.get()] { impl->io.run(); }};
}

WebSocketDoor::~WebSocketDoor() { impl_->io.stop(); }

std::uint16_t WebSocketDoor::port() const noexcept { return impl_->door.local_endpoint().port(); }

}  // namespace stentor::scenario
