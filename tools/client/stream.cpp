#include "tools/client/stream.hpp"

#include "base/asio/tcp_connect.hpp"
#include "tools/client/tls_context.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <fmt/format.h>

#include <utility>
#include <vector>

namespace stentor::tools {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::beast::get_lowest_layer;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

using TlsStream = ssl::stream<tcp::socket>;
using Opened = Result<std::unique_ptr<Stream>, ConnectError>;

/// A socket, or TLS on one; then with the context it was made from.
template <class Socket>
class SocketStream final : public Stream {
  public:
    explicit SocketStream(Socket socket, std::unique_ptr<ssl::context> context = nullptr)
        : context_{std::move(context)}, socket_{std::move(socket)} {}

    asio::awaitable<Read> read_some(MutableByteView buffer) override {
        const auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kTuple);
        co_return Read{error, bytes};
    }
    asio::awaitable<error_code> write(ByteView bytes) override {
        const auto [error, written] =
            co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), kTuple);
        co_return error;
    }
    asio::awaitable<void> end_writing() override {
        // FIN alone: async_shutdown() of TLS would read while the caller does.
        error_code ignored;
        get_lowest_layer(socket_).shutdown(asio::socket_base::shutdown_send, ignored);
        co_return;
    }
    void close() noexcept override {
        error_code ignored;
        get_lowest_layer(socket_).close(ignored);
    }

  private:
    std::unique_ptr<ssl::context> context_;
    Socket socket_;
};

template <class Next>
class WebSocketStream final : public Stream {
  public:
    WebSocketStream(std::unique_ptr<ssl::context> context, websocket::stream<Next> stream)
        : context_{std::move(context)}, stream_{std::move(stream)} {}

    asio::awaitable<Read> read_some(MutableByteView buffer) override {
        const auto [error, bytes] =
            co_await stream_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kTuple);
        co_return Read{error, bytes};
    }
    asio::awaitable<error_code> write(ByteView bytes) override {
        const auto [error, written] =
            co_await stream_.async_write(asio::buffer(bytes.data(), bytes.size()), kTuple);
        co_return error;
    }
    asio::awaitable<void> end_writing() override {
        const auto [error] = co_await stream_.async_close(websocket::close_code::normal, kTuple);
        static_cast<void>(error);  // the connection ends in any case
    }
    void close() noexcept override {
        error_code ignored;
        get_lowest_layer(stream_).close(ignored);
    }

  private:
    std::unique_ptr<ssl::context> context_;
    websocket::stream<Next> stream_;
};

ConnectError connect_failure(const error_code& error, const Address& address) {
    const auto where = address.to_string();
    auto what = fmt::format("cannot connect to {}: {}", where, error.message());
    if (error == asio::error::connection_refused) {
        return {fmt::format("cannot connect to {}: connection refused", where),
                "is the broker running there? stentor serve"};
    }
    if (error == boost::system::errc::no_such_file_or_directory) {
        return {fmt::format("cannot connect to {}: there is no such socket", where),
                "is the broker running, with this listener?"};
    }
    if (error == asio::error::host_unreachable || error == asio::error::network_unreachable) {
        return {what, "no route to that host from here"};
    }
    return {what};
}

asio::awaitable<Result<tcp::socket, ConnectError>> open_tcp(ConnectOptions options) {
    const auto& address = options.address;
    tcp::resolver resolver{co_await asio::this_coro::executor};
    const auto [error, found] = co_await resolver.async_resolve(
        address.host, std::to_string(address.port), tcp::resolver::numeric_service, kTuple);
    if (error) {
        co_return ConnectError{
            fmt::format("cannot resolve the host name '{}': {}", address.host, error.message()),
            "check the spelling behind -h or -L"};
    }
    std::vector<tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    auto socket = co_await connect_to_first(std::move(endpoints), options.bind_address);
    if (!socket) co_return connect_failure(socket.error(), address);
    co_return *std::move(socket);
}

template <class Next>
asio::awaitable<Opened> open_websocket(Next next,
                                       std::unique_ptr<ssl::context> context,
                                       Address address) {
    websocket::stream<Next> stream{std::move(next)};
    stream.binary(true);         // [MQTT-6.0.0-1]
    stream.read_message_max(0);  // the session knows its bounds; frames are read in pieces
    stream.auto_fragment(false);
    stream.set_option(websocket::stream_base::decorator{[](websocket::request_type& request) {
        request.set(boost::beast::http::field::sec_websocket_protocol, "mqtt");
        request.set(boost::beast::http::field::user_agent, "stentor");
    }});
    websocket::response_type response;
    const auto host = fmt::format("{}:{}", address.host, address.port);
    const auto [error] = co_await stream.async_handshake(response, host, address.path, kTuple);
    if (error == websocket::error::upgrade_declined) {
        co_return ConnectError{
            fmt::format("{} answered HTTP {} instead of opening a WebSocket",
                        address.to_string(),
                        response.result_int()),
            "check port and path of the URL, for example ws://localhost:8083/mqtt"};
    }
    if (error) {
        co_return ConnectError{
            fmt::format("no WebSocket with {}: {}", address.to_string(), error.message()),
            "is it a listener for ws:// or wss://?"};
    }
    if (response[boost::beast::http::field::sec_websocket_protocol] != "mqtt") {
        co_return ConnectError{fmt::format("the WebSocket at {} does not speak MQTT",
                                           address.to_string())};  // [MQTT-6.0.0-4]
    }
    co_return std::make_unique<WebSocketStream<Next>>(std::move(context), std::move(stream));
}

asio::awaitable<Opened> open_tls(ConnectOptions options) {
    auto context = make_tls_context(options.tls);  // first: its mistakes need no network
    if (!context) co_return std::move(context).error();
    auto socket = co_await open_tcp(options);
    if (!socket) co_return std::move(socket).error();
    TlsStream stream{*std::move(socket), **context};
    prepare_tls(*stream.native_handle(), options.address, options.tls);
    const auto [error] = co_await stream.async_handshake(TlsStream::client, kTuple);
    if (error) co_return tls_failure(*stream.native_handle(), error, options.address);
    if (is_websocket(options.address.scheme)) {
        auto opened =
            co_await open_websocket(std::move(stream), *std::move(context), options.address);
        co_return opened;
    }
    co_return std::make_unique<SocketStream<TlsStream>>(std::move(stream), *std::move(context));
}

asio::awaitable<Opened> open_unix(Address address) {
    using asio::local::stream_protocol;
    stream_protocol::socket socket{co_await asio::this_coro::executor};
    if (address.path.size() >= sizeof(sockaddr_un::sun_path)) {
        co_return ConnectError{fmt::format("the path '{}' is too long for a socket", address.path)};
    }
    const auto [error] =
        co_await socket.async_connect(stream_protocol::endpoint{address.path}, kTuple);
    if (error) co_return connect_failure(error, address);
    co_return std::make_unique<SocketStream<stream_protocol::socket>>(std::move(socket));
}

asio::awaitable<Opened> open_any(ConnectOptions options) {
    if (options.address.scheme == Scheme::unix_socket) {
        auto opened = co_await open_unix(options.address);
        co_return opened;
    }
    if (is_tls(options.address.scheme)) {
        auto opened = co_await open_tls(std::move(options));
        co_return opened;
    }
    auto socket = co_await open_tcp(options);
    if (!socket) co_return std::move(socket).error();
    if (is_websocket(options.address.scheme)) {
        auto opened = co_await open_websocket(*std::move(socket), nullptr, options.address);
        co_return opened;
    }
    co_return std::make_unique<SocketStream<tcp::socket>>(*std::move(socket));
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Stream>, ConnectError>> open_stream(ConnectOptions options) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer{co_await asio::this_coro::executor};
    timer.expires_after(options.timeout);
    const auto where = options.address.to_string();
    const auto seconds = static_cast<double>(options.timeout.count()) / 1000;
    auto first = co_await (open_any(std::move(options)) ||
                           timer.async_wait(asio::as_tuple(asio::use_awaitable)));
    if (first.index() == 0) co_return std::get<0>(std::move(first));
    co_return ConnectError{fmt::format("no answer from {} within {} s", where, seconds),
                           "is the address right, and does a firewall let it through?"};
}

}  // namespace stentor::tools
