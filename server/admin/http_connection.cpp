#include "server/admin/http_connection.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "server/admin/request_check.hpp"
#include "server/transport/http_fields.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// A peer that still sends while it is refused: so much is read, so that the answer reaches it.
constexpr std::size_t kSeeOffBytesMax = std::size_t{256} * 1024;

/// Of every answer: nothing here is for other sites' pages, for frames, or for caches.
constexpr std::string_view kSecurityHeaders =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n";

asio::ip::tcp protocol_of(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    (void)::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    return address.ss_family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
}

std::ptrdiff_t fields_of(const http::request_parser<http::string_body>& parser) {
    return std::distance(parser.get().begin(), parser.get().end());
}

/// Whoever looked at the head, a proxy too, has not seen what stands behind the body (RFC 9110
/// 6.5.1).
Reply no_trailers() {
    return error_reply(
        Status::bad_request, "bad_request", "fields behind the body (trailers) are not taken");
}

bool bears_mark_of_proxy(const http::fields& head) {
    return std::any_of(head.begin(), head.end(), [](const auto& field) {
        const auto name = field.name_string();
        return server::is_mark_of_proxy({name.data(), name.size()});
    });
}

std::string to_text(const Reply& reply, unsigned version, bool keep, bool with_body) {
    const auto reason = http::obsolete_reason(reply.status);
    std::string text = "HTTP/1.1 " + std::to_string(static_cast<unsigned>(reply.status)) + ' ';
    text.append(reason.data(), reason.size()).append("\r\n");
    for (const auto& [name, value] : reply.headers) {
        text.append(name).append(": ").append(value).append("\r\n");
    }
    if (!reply.body.empty()) {
        text.append("Content-Type: ").append(reply.content_type).append("\r\n");
    }
    if (reply.status != Status::no_content) {  // RFC 9110 8.6
        text.append("Content-Length: ").append(std::to_string(reply.body.size())).append("\r\n");
    }
    text.append(kSecurityHeaders);
    if (!keep) text.append("Connection: close\r\n");
    if (keep && version == 10) text.append("Connection: keep-alive\r\n");
    text.append("\r\n");
    if (with_body) text.append(reply.body);
    return text;
}

}  // namespace

HttpConnection::HttpConnection(asio::io_context& io,
                               const HttpLimits& limits,
                               server::AddressGate& addresses,
                               HttpHandler& handler,
                               HttpCounters& counters,
                               server::HttpArrival arrival)
    : limits_{limits},
      addresses_{addresses},
      handler_{handler},
      counters_{counters},
      socket_{io},
      deadline_{io},
      channel_{std::move(arrival.channel)},
      place_{std::move(arrival.place)},
      address_{std::move(arrival.address)},
      clear_{std::move(arrival.received)} {
    const asio::ip::tcp protocol = protocol_of(arrival.descriptor.get());
    boost::system::error_code error;
    (void)socket_.assign(protocol, arrival.descriptor.release(), error);
}

/// The socket is closed `time` from now, unless this is called again.
void HttpConnection::allow(std::chrono::milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (error || self->deadline_.expiry() > asio::steady_timer::clock_type::now()) return;
        self->timed_out_ = true;
        boost::system::error_code ignored;
        self->socket_.cancel(ignored);
    });
}

void HttpConnection::finish() {
    finishing_ = true;
    boost::system::error_code ignored;
    if (idle_) socket_.cancel(ignored);
}

void HttpConnection::abandon() {
    finishing_ = true;
    deadline_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

asio::awaitable<void> HttpConnection::run() {
    bool goes_on = socket_.is_open();
    allow(limits_.head_time);
    idle_ = clear_.empty();
    if (goes_on && !channel_->network().empty()) {
        goes_on = co_await flush();
    }
    while (goes_on && !finishing_) {
        goes_on = co_await serve_one();
        if (goes_on) {
            idle_ = clear_.empty();
            allow(idle_ ? limits_.idle_time : limits_.head_time);
        }
    }
    deadline_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

/// False: the connection is at its end.
asio::awaitable<bool> HttpConnection::serve_one() {
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits_.head_bytes_max));
    parser.body_limit(boost::none);  // as the handler says, which does not know of it yet
    std::optional<Reply> bad;
    if (!co_await read_head(parser, bad)) co_return false;
    cors_origin_.clear();
    if (!bad) bad = check_cors(parser);
    if (bad) {
        const bool keeps = co_await refuse(*std::move(bad), parser);
        co_return keeps;
    }
    auto behind = channel_->peer_behind(server::list_of(parser.get(), "X-Forwarded-For"),
                                        bears_mark_of_proxy(parser.get()));
    if (!behind) {
        const bool keeps = co_await refuse(
            error_reply(Status::bad_request, "bad_request", server::Channel::kForwardedForNobody),
            parser);
        co_return keeps;
    }
    Call call{.request = &parser.get(), .peer = std::move(behind->info), .visitor = &visitor_};
    Begun begun = co_await handler_.begin(call);
    if (begun.refusal) {
        const bool keeps = co_await refuse(*std::move(begun.refusal), parser);
        co_return keeps;
    }
    if (!co_await read_body(parser, begun.body_bytes_max, bad)) co_return false;
    if (bad) {
        const bool keeps = co_await refuse(*std::move(bad), parser);
        co_return keeps;
    }
    deadline_.cancel();  // the handler has its own
    Reply reply = co_await handler_.answer(call);
    call.room.reset();
    const bool keep = parser.get().keep_alive() && !finishing_ && !channel_->has_ended();
    const bool written = co_await write(std::move(reply), parser, keep);
    if (!keep) {
        co_await see_off();
    }
    co_return (written && keep);
}

/// What is answered before anybody looks at the path: requests that make no sense, and browsers
/// that ask whether a page may.
std::optional<Reply> HttpConnection::check_cors(const Parser& parser) {
    const Head& head = parser.get().base();
    if (auto bad = check_head(head, limits_.cors_origins)) return bad;
    cors_origin_ = cors_origin(head, limits_.cors_origins);
    return cors_origin_.empty() ? std::nullopt : answer_to_preflight(head);
}

/// The page that asks may read the answer, and no cache may take it for another site's.
void HttpConnection::add_cors(Reply& reply) const {
    if (!limits_.cors_origins.empty()) reply.headers.emplace_back("Vary", "Origin");
    if (cors_origin_.empty()) return;
    reply.headers.emplace_back("Access-Control-Allow-Origin", cors_origin_);
    reply.headers.emplace_back("Access-Control-Expose-Headers", "Allow, Retry-After");
}

/// Answers without having read a body; ends the connection if there is one.
asio::awaitable<bool> HttpConnection::refuse(Reply reply, const Parser& parser) {
    const bool whole =
        parser.is_header_done() && !parser.chunked() && parser.content_length().value_or(0) == 0;
    const bool understood = reply.status != Status::bad_request &&
                            reply.status != Status::not_implemented &&
                            reply.status != Status::request_header_fields_too_large;
    const bool keep =
        whole && understood && parser.get().keep_alive() && !finishing_ && !channel_->has_ended();
    const bool written = co_await write(std::move(reply), parser, keep);
    if (!keep) {
        co_await see_off();
    }
    co_return (keep && written);
}

/// False: the peer has gone, or was too slow. `bad`: it is to be told so.
asio::awaitable<bool> HttpConnection::read_head(Parser& parser, std::optional<Reply>& bad) {
    std::size_t head_bytes = 0;
    for (;;) {
        // What clients that are not careful send between two requests (RFC 9112 2.2).
        if (!parser.got_some()) {
            const auto begin = std::find_if(clear_.begin(), clear_.end(), [](std::byte each) {
                return each != std::byte{'\r'} && each != std::byte{'\n'};
            });
            clear_.erase(clear_.begin(), begin);
        }
        if (!clear_.empty()) {
            boost::beast::error_code error;
            const std::size_t used =
                parser.put(asio::const_buffer{clear_.data(), clear_.size()}, error);
            clear_.erase(clear_.begin(), clear_.begin() + static_cast<std::ptrdiff_t>(used));
            if (error && error != http::error::need_more) {
                bad = reply_to(error, false);
                co_return true;
            }
            // The parser's own limit is for what it looks at in one piece.
            head_bytes += used;
            const std::size_t waiting = parser.is_header_done() ? 0 : clear_.size();
            if (head_bytes + waiting > limits_.head_bytes_max) {
                bad = reply_to(http::make_error_code(http::error::header_limit), false);
                co_return true;
            }
            if (parser.is_header_done()) co_return true;
        }
        const bool was_idle = std::exchange(idle_, clear_.empty());
        if (was_idle && !idle_) allow(limits_.head_time);
        const Step step = co_await fill();
        if (step == Step::ended) {
            if (timed_out_ && !idle_) {
                timed_out_ = false;
                Reply late = error_reply(Status::request_timeout,
                                         "request_timeout",
                                         "the head of the request took too long",
                                         "limits.connect_timeout");
                (void)co_await write(std::move(late), parser, false);
            }
            co_return false;
        }
    }
}

asio::awaitable<bool> HttpConnection::read_body(Parser& parser,
                                                std::uint64_t bytes_max,
                                                std::optional<Reply>& bad) {
    if (parser.is_done()) co_return true;
    if (parser.content_length().value_or(0) > bytes_max) {
        bad = reply_to(http::make_error_code(http::error::body_limit), true);
        co_return true;
    }
    parser.body_limit(bytes_max);
    parser.eager(true);
    allow(limits_.body_time);
    if (!co_await go_ahead(parser)) co_return false;
    const auto fields = fields_of(parser);
    for (;;) {
        if (!clear_.empty()) {
            boost::beast::error_code error;
            const std::size_t used =
                parser.put(asio::const_buffer{clear_.data(), clear_.size()}, error);
            clear_.erase(clear_.begin(), clear_.begin() + static_cast<std::ptrdiff_t>(used));
            if (error && error != http::error::need_more) {
                bad = reply_to(error, true);
                co_return true;
            }
            if (parser.is_done()) {
                if (fields_of(parser) != fields) bad = no_trailers();
                co_return true;
            }
            // What the parser leaves is the head of a chunk, or the trailer, that has no end yet.
            if (clear_.size() > limits_.head_bytes_max) {
                bad = reply_to(http::make_error_code(http::error::header_limit), true);
                co_return true;
            }
        }
        const Step step = co_await fill();
        if (step == Step::ended) co_return false;
    }
}

/// Whoever waits for it before sending the body is told to (RFC 9110 10.1.1).
asio::awaitable<bool> HttpConnection::go_ahead(const Parser& parser) {
    const auto expect = parser.get()[http::field::expect];
    if (!clear_.empty() || parser.get().version() != 11 ||
        !boost::beast::iequals(expect, "100-continue")) {
        co_return true;
    }
    mqtt::WireBuffer out;
    out.append(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"));
    channel_->send(out, out.size());
    const bool flushed = co_await flush();
    co_return flushed;
}

/// More of what the peer says, into clear_.
asio::awaitable<HttpConnection::Step> HttpConnection::fill() {
    if (channel_->has_ended()) co_return Step::ended;
    const std::size_t before = clear_.size();
    while (clear_.size() == before) {
        const auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(arena_.data(), arena_.size()), kAwait);
        if (error) co_return Step::ended;
        counters_.bytes_received.fetch_add(bytes, std::memory_order_relaxed);
        const bool shook = channel_->shakes_hands();
        auto state = channel_->receive(MutableByteView{arena_}.first(bytes), clear_);
        if (channel_->is_behind_proxy_header()) {
            if (!settle_peer()) co_return Step::ended;
            state = channel_->go_on(clear_);
        }
        const bool has_failed = state == server::Channel::State::failed;
        if (shook && !channel_->shakes_hands() && !has_failed) {
            counters_.tls_handshakes.fetch_add(1, std::memory_order_relaxed);
        }
        if (!co_await flush() || !settle_peer()) co_return Step::ended;
        if (has_failed) {
            static LogEvery every{20, std::chrono::seconds{10}};
            if (const auto pass = every.admit(monotonic_now())) {
                STENTOR_LOG(
                    info,
                    LogEvent("connection_failed",
                             {{"peer", channel_->peer().address}, {"suppressed", pass.suppressed}}),
                    "closing a connection before HTTP: {}",
                    channel_->why());
            }
            co_return Step::ended;
        }
        if (channel_->has_ended() && clear_.size() == before) co_return Step::ended;
    }
    co_return Step::more;
}

/// If TLS or a proxy has said who the peer is, the bounds of addresses have a word.
bool HttpConnection::settle_peer() {
    const auto peer = channel_->take_peer();
    if (!peer) return true;
    const auto answer = server::settle_address(
        addresses_, *peer, channel_->peer_is_proxy(), monotonic_now(), address_);
    if (answer == server::AddressGate::Answer::welcome) return true;
    ++counters_.refused_at_door[static_cast<std::size_t>(server::refusal_of(answer))];
    return false;
}

/// What the channel has for the peer. False: it has gone.
asio::awaitable<bool> HttpConnection::flush() {
    if (channel_->network().empty()) co_return true;
    const Bytes bytes = channel_->network().take();
    const auto [error, written] =
        co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), kAwait);
    counters_.bytes_sent.fetch_add(written, std::memory_order_relaxed);
    co_return !error;
}

/// False: the connection ends.
asio::awaitable<bool> HttpConnection::write(Reply reply, const Parser& parser, bool keep) {
    allow(limits_.write_time);
    add_cors(reply);
    const auto digit = static_cast<std::size_t>(reply.status) / 100;
    counters_.answers[std::min<std::size_t>(digit, 5)].fetch_add(1, std::memory_order_relaxed);
    const bool head_only = parser.is_header_done() && parser.get().method() == http::verb::head;
    const unsigned version = parser.is_header_done() ? parser.get().version() : 11;
    mqtt::WireBuffer out;
    out.append(as_bytes(to_text(reply, version, keep, !head_only)));
    channel_->send(out, out.size());
    if (!keep) channel_->finish();
    const bool flushed = co_await flush();
    co_return flushed;
}

/// Closing at once would let the kernel reset the connection under an answer that the peer has not
/// read yet, because it is still sending.
asio::awaitable<void> HttpConnection::see_off() {
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    allow(limits_.farewell_time);
    std::size_t seen = 0;
    while (seen < kSeeOffBytesMax) {
        const auto [error, bytes] =
            co_await socket_.async_read_some(asio::buffer(arena_.data(), arena_.size()), kAwait);
        if (error) co_return;
        seen += bytes;
    }
}

}  // namespace stentor::admin
