#include "tools/client/client_runner.hpp"

#include "base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace stentor::tools {
namespace {

namespace asio = boost::asio;
using mqtt::CloseCause;
using mqtt::ReasonCode;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
constexpr std::size_t kWriteBytes = std::size_t{64} * 1024;  // small enough to see that it moves
constexpr std::chrono::milliseconds kFirstWait{500};
constexpr std::chrono::milliseconds kLongestWait{30'000};

ConnectError described(const mqtt::Closed& closed, const std::string& where) {
    const auto said = closed.properties.reason_string().value_or(std::string_view{});
    auto text = describe(closed.reason, said);
    switch (closed.cause) {
        case CloseCause::refused: {
            ConnectError error{fmt::format("{} refused: {}", where, text)};
            if (closed.reason == ReasonCode::not_authorized ||
                closed.reason == ReasonCode::bad_user_name_or_password) {
                error.hint = "user name and password are given with -u and -P";
            }
            if (const auto other = closed.properties.server_reference()) {
                error.hint = fmt::format("it points to another server: {}", *other);
            }
            return error;
        }
        case CloseCause::disconnected:
            return {fmt::format("{} closed the connection: {}", where, text)};
        case CloseCause::server_error:
            return {fmt::format("{} broke the protocol: {} ({})", where, closed.detail, text)};
        case CloseCause::connect_timeout:
            return {fmt::format("{} does not answer CONNECT", where),
                    "is it an MQTT port? mqtts:// for TLS, ws:// for WebSocket"};
        case CloseCause::ping_timeout:
            return {fmt::format("{} has stopped answering", where)};
    }
    return {};
}

}  // namespace

std::string describe(ReasonCode reason, std::string_view reason_string) {
    std::string text{mqtt::name(reason)};
    std::ranges::replace(text, '_', ' ');
    text += fmt::format(" (0x{:02x})", mqtt::to_number(reason));
    if (!reason_string.empty()) text += fmt::format(": {}", reason_string);
    return text;
}

ClientRunner::ClientRunner(asio::io_context& io,
                           RunnerOptions options,
                           mqtt::ClientSession& session,
                           ClientHandler& handler)
    : io_{io},
      options_{std::move(options)},
      session_{session},
      handler_{handler},
      link_{std::make_shared<Link>(io)},
      retry_timer_{io},
      jitter_{random_seed()} {}

bool ClientRunner::has_room() const noexcept {
    return link_->output.size() + link_->sending < options_.output_bytes_max;
}

bool ClientRunner::all_sent() const noexcept {
    return link_->output.empty() && link_->sending == 0;
}

void ClientRunner::flush() { link_->wake.cancel(); }

void ClientRunner::finish(ReasonCode reason, ByteView properties) {
    if (finishing_) return;
    finishing_ = true;
    retry_timer_.cancel();
    if (link_->stream == nullptr || link_->ended) return;
    session_.disconnect(reason, properties, link_->output);
    end(*link_);
}

void ClientRunner::end(Link& link) {
    link.ended = true;
    link.timer.cancel();
    link.wake.cancel();
}

bool ClientRunner::worth_another_try(const Link& link) const noexcept {
    if (finishing_ || !was_connected_) return false;
    if (!link.closed) return true;  // the transport has failed
    switch (*link.closed) {
        case CloseCause::connect_timeout:
        case CloseCause::ping_timeout:
            return true;
        case CloseCause::server_error:
            return false;
        case CloseCause::refused:
        case CloseCause::disconnected:
            break;
    }
    switch (link.reason) {
        case ReasonCode::normal_disconnection:
        case ReasonCode::unspecified_error:
        case ReasonCode::server_unavailable:
        case ReasonCode::server_busy:
        case ReasonCode::server_shutting_down:
        case ReasonCode::keep_alive_timeout:
        case ReasonCode::message_rate_too_high:
        case ReasonCode::connection_rate_exceeded:
        case ReasonCode::maximum_connect_time:
            return true;
        default:
            return false;  // taken over, banned, not authorised: would only happen again
    }
}

asio::awaitable<std::optional<ConnectError>> ClientRunner::run() {
    auto wait = kFirstWait;
    auto give_up_at = kNever;
    while (!finishing_) {
        auto link = std::make_shared<Link>(io_);
        link_ = link;
        auto opened = co_await open_stream(options_.connect);
        if (opened) {
            link->stream = *std::move(opened);
            co_await serve(link);
        } else {
            link->why = std::move(opened).error();
        }
        if (finishing_) co_return failure_at_end(*link);
        if (!worth_another_try(*link)) co_return link->why;

        const auto now = monotonic_now();
        // CONNACK alone is no progress: a broker may accept us each time, to be lost over the same
        // message again.
        if (link->useful || (link->up_since != kNever && now - link->up_since >= kLongestWait)) {
            wait = kFirstWait;
            give_up_at = kNever;
        }
        if (give_up_at == kNever) give_up_at = saturating_add(now, options_.retry_for);
        if (now >= give_up_at) co_return link->why;
        // Clients that lost the same broker must not come back in step.
        const auto jittered = std::chrono::milliseconds{
            wait.count() / 2 +
            static_cast<std::int64_t>(jitter_.below(static_cast<std::uint64_t>(wait.count())))};
        handler_.on_retry(link->why, jittered);
        if (finishing_) break;
        retry_timer_.expires_after(jittered);
        co_await retry_timer_.async_wait(kTuple);
        wait = std::min(wait * 2, kLongestWait);
    }
    co_return std::nullopt;
}

void ClientRunner::abandon() {
    finishing_ = true;
    retry_timer_.cancel();
    if (!link_) return;
    link_->output.clear();
    link_->abandoned = true;
    end(*link_);
    if (link_->stream) link_->stream->close();
}

asio::awaitable<void> ClientRunner::serve(std::shared_ptr<Link> link) {
    // 5.0 separates resuming from keeping; a 3.1.1 session that is not cleaned is kept for ever, so
    // there the user's choice holds for every connection.
    const bool resume = was_connected_ && session_.options().version == mqtt::ProtocolVersion::v5;
    session_.connect(
        resume ? mqtt::CleanStart::no : options_.clean_start, monotonic_now(), link->output);
    asio::co_spawn(io_, write_output(link), asio::detached);
    asio::co_spawn(io_, keep_time(link), asio::detached);

    Bytes input;  // read and not yet used
    Bytes buffer(kReadBytes);
    for (;;) {
        const auto read = co_await link->stream->read_some(buffer);
        if (read.error) {
            if (link->why.what.empty()) link->why = lost(read.error);
            break;
        }
        input.insert(
            input.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(read.bytes));
        if (!link->ended) feed(*link, input);
        if (link->ended) hear_last_word(*link, input);
    }
    session_.connection_lost();
    end(*link);
    link->patience.cancel();
    link->stream->close();
}

std::optional<ConnectError> ClientRunner::failure_at_end(const Link& link) const {
    if (link.abandoned) return std::nullopt;
    if (link.closed && mqtt::is_failure(link.reason)) return link.why;
    if (!link.write_error) return std::nullopt;
    const auto where = options_.connect.address.to_string();
    return ConnectError{
        fmt::format("lost {} before everything was sent: {}", where, link.write_error->message())};
}

ConnectError ClientRunner::lost(const boost::system::error_code& error) const {
    const auto& address = options_.connect.address;
    const bool eof = error == asio::error::eof;
    ConnectError why{fmt::format("lost {}: {}", address.to_string(), error.message())};
    if (eof) why.what = fmt::format("{} closed the connection", address.to_string());
    if (session_.connected() || was_connected_) return why;
    if (eof) why.what += " before accepting it";
    why.hint = is_tls(address.scheme) ? "it may want a client certificate: --cert and --key"
                                      : "is it an MQTT port? mqtts:// for TLS, ws:// for WebSocket";
    return why;
}

void ClientRunner::feed(Link& link, Bytes& input) {
    ByteView rest{input};
    while (!link.ended) {
        const auto event = session_.next(rest, monotonic_now(), link.output);
        if (std::holds_alternative<mqtt::NeedInput>(event)) break;
        if (const auto* closed = std::get_if<mqtt::Closed>(&event)) {
            on_closed(link, *closed);
            break;
        }
        if (std::holds_alternative<mqtt::Connected>(event)) {
            was_connected_ = true;
            link.up_since = monotonic_now();
            link.timer.cancel();  // other deadlines from here on
        } else {
            link.useful = true;
        }
        handler_.on_event(event);
    }
    handler_.on_batch();
    input.erase(input.begin(), input.end() - static_cast<std::ptrdiff_t>(rest.size()));
    link.wake.cancel();
}

/// Our DISCONNECT is on its way: what the broker still sends is answered by nobody.
void ClientRunner::hear_last_word(Link& link, Bytes& input) {
    if (link.abandoned) return;
    ByteView rest{input};
    if (const auto closed = session_.last_word(rest)) on_closed(link, *closed);
    input.erase(input.begin(), input.end() - static_cast<std::ptrdiff_t>(rest.size()));
}

void ClientRunner::on_closed(Link& link, const mqtt::Closed& closed) {
    link.closed = closed.cause;
    link.reason = closed.reason;
    link.why = described(closed, options_.connect.address.to_string());
    end(link);
}

/// False: the connection takes no more.
asio::awaitable<bool> ClientRunner::write_all(std::shared_ptr<Link> link) {
    auto sending = std::exchange(link->output, mqtt::WireBuffer{});
    link->sending = sending.size();
    while (!sending.empty()) {
        const ByteView front = sending.front();
        const ByteView part = front.first(std::min(front.size(), kWriteBytes));
        const auto error = co_await link->stream->write(part);
        if (error) {
            if (!link->write_error) link->write_error = error;
            co_return false;
        }
        sending.consume(part.size());
        link->written += part.size();
    }
    link->sending = 0;
    co_return true;
}

asio::awaitable<void> ClientRunner::write_output(std::shared_ptr<Link> link) {
    for (;;) {
        while (!link->output.empty()) {
            const bool written = co_await write_all(link);
            if (!written) {
                // What the broker has said before it stopped reading is still to be read.
                close_soon(link);
                co_return;
            }
            if (!link->ended) handler_.on_drained();
        }
        if (link->ended) break;
        link->wake.expires_after(std::chrono::hours{24});
        co_await link->wake.async_wait(kTuple);
    }
    if (link->abandoned) co_return;
    // The broker closes when it has read everything. Closing first could reset the connection
    // while our last bytes are still on their way.
    close_soon(link);
    co_await link->stream->end_writing();
}

void ClientRunner::close_soon(const std::shared_ptr<Link>& link) {
    link->timer.cancel();
    link->patience.expires_after(options_.end_patience);
    link->patience.async_wait([link](const boost::system::error_code& error) {
        if (!error) link->stream->close();
    });
}

asio::awaitable<void> ClientRunner::keep_time(std::shared_ptr<Link> link) {
    asio::steady_timer& timer = link->timer;
    while (!link->ended) {
        const auto due = session_.deadline();
        const auto left = due == kNever ? Duration{std::chrono::hours{24}}
                                        : std::max(due - monotonic_now(), Duration::zero());
        timer.expires_after(left);
        co_await timer.async_wait(kTuple);
        if (link->ended) break;
        if (const auto closed = session_.on_time(monotonic_now(), link->output)) {
            on_closed(*link, *closed);
        }
        link->wake.cancel();
    }
    co_await watch_end(link);
}

/// Sending the rest may take long, but it must move.
asio::awaitable<void> ClientRunner::watch_end(std::shared_ptr<Link> link) {
    const auto waits = [&] {
        return !link->abandoned && !link->write_error &&
               (link->sending != 0 || !link->output.empty());
    };
    while (waits()) {
        const auto before = link->written;
        link->timer.expires_after(options_.stall_patience);
        const auto [error] = co_await link->timer.async_wait(kTuple);
        if (error || link->written != before || !waits()) continue;
        link->write_error = asio::error::timed_out;
        link->stream->close();
    }
}

}  // namespace stentor::tools
