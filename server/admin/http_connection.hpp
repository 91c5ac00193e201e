#pragma once
// One connection of the HTTP server: bytes through a Channel into requests, answers back.
// The HTTP server's thread. Shared by its coroutine and its timer; ends with the later one.

#include "base/bytes.hpp"
#include "server/admin/http_handler.hpp"
#include "server/admin/http_server.hpp"
#include "server/transport/accept.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace stentor::admin {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
  public:
    using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

    HttpConnection(boost::asio::io_context& io,
                   const HttpLimits& limits,
                   server::AddressGate& addresses,
                   HttpHandler& handler,
                   HttpCounters& counters,
                   server::HttpArrival arrival);

    /// Serves it to its end.
    [[nodiscard]] boost::asio::awaitable<void> run();

    /// Ends it after the answer that is under way, at once if there is none.
    void finish();
    /// Ends it whatever is under way.
    void abandon();
    [[nodiscard]] std::uint16_t listener() const noexcept { return channel_->peer().listener; }

  private:
    enum class Step : std::uint8_t { more, ended };

    [[nodiscard]] boost::asio::awaitable<bool> serve_one();
    [[nodiscard]] boost::asio::awaitable<Step> fill();
    [[nodiscard]] boost::asio::awaitable<bool> flush();
    [[nodiscard]] boost::asio::awaitable<bool> read_head(Parser& parser, std::optional<Reply>& bad);
    [[nodiscard]] boost::asio::awaitable<bool> read_body(Parser& parser,
                                                         std::uint64_t bytes_max,
                                                         std::optional<Reply>& bad);
    [[nodiscard]] boost::asio::awaitable<bool> go_ahead(const Parser& parser);
    [[nodiscard]] boost::asio::awaitable<bool> write(Reply reply, const Parser& parser, bool keep);
    [[nodiscard]] boost::asio::awaitable<void> see_off();
    [[nodiscard]] bool settle_peer();
    void allow(std::chrono::milliseconds time);
    [[nodiscard]] boost::asio::awaitable<bool> refuse(Reply reply, const Parser& parser);
    [[nodiscard]] std::optional<Reply> check_cors(const Parser& parser);
    void add_cors(Reply& reply) const;

    const HttpLimits& limits_;
    server::AddressGate& addresses_;
    HttpHandler& handler_;
    HttpCounters& counters_;
    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer deadline_;
    std::unique_ptr<server::Channel> channel_;
    server::PlaceAtDoor place_;
    server::AddressPlace address_;
    Bytes clear_;  // of requests, not yet parsed
    std::unique_ptr<Visitor> visitor_;
    std::string cors_origin_;  // of the request under way; empty: no other site's page asks
    std::array<std::byte, std::size_t{16} * 1024> arena_{};
    bool idle_ = true;  // nothing of a request has come
    bool finishing_ = false;
    bool timed_out_ = false;
};

}  // namespace stentor::admin
