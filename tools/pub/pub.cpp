#include "tools/pub/pub.hpp"

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "tools/client/json_text.hpp"
#include "tools/client/tool_main.hpp"
#include "tools/pub/pub_options.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace stentor::tools {
namespace {

namespace asio = boost::asio;
using mqtt::QoS;
using mqtt::ReasonCode;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kLinesMax = 4096;  // read ahead of the broker's acknowledgements
// What a broker closes on twice it closes on always; 3.1.1 has no other way to refuse a message.
constexpr int kLossesMax = 2;
constexpr std::size_t kLineBytesMax = mqtt::kVarintMax;

/// Everything up to the end; fails with errno's text, or when it cannot fit a packet.
Result<std::string, std::string_view> read_to_end(int fd) {
    std::string all;
    std::array<char, 65536> buffer{};
    for (;;) {
        const auto n = ::read(fd, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return {boost::system::in_place_error, std::strerror(errno)};
        if (n == 0) return {boost::system::in_place_value, std::move(all)};
        all.append(buffer.data(), static_cast<std::size_t>(n));
        if (all.size() > mqtt::kVarintMax) {
            return {boost::system::in_place_error, "more than 256 MiB do not fit into a packet"};
        }
    }
}

/// Feeds messages into the session as fast as window and output allow, and counts what comes back.
class Publisher final : public ClientHandler {
  public:
    Publisher(asio::io_context& io, const PubOptions& options, const Reporter& reporter)
        : options_{options}, reporter_{reporter}, delay_timer_{io}, room_{io}, stdin_{io} {}

    void attach(ClientRunner& runner, Bytes disconnect_properties) {
        runner_ = &runner;
        disconnect_properties_ = std::move(disconnect_properties);
    }

    void set_single(std::string payload) {
        lines_.push_back(std::move(payload));
        input_ended_ = true;
        left_ = options_.repeat;
    }
    [[nodiscard]] asio::awaitable<void> read_lines();

    void on_event(const mqtt::ClientEvent& event) override {
        if (const auto* connected = std::get_if<mqtt::Connected>(&event)) {
            connected_ = true;
            reporter_.debug("connected as '{}'{}",
                            runner_->session().client_id(),
                            connected->session_present ? ", session resumed" : "");
        } else if (const auto* done = std::get_if<mqtt::PublishDone>(&event)) {
            on_done(*done);
        } else if (std::holds_alternative<mqtt::PingDone>(event)) {
            unconfirmed_ = 0;
        }
    }
    void on_batch() override { pump(); }
    void on_drained() override { pump(); }
    void on_retry(const ConnectError& why, std::chrono::milliseconds wait) override {
        const bool was_connected = std::exchange(connected_, false);
        if (unconfirmed_ != 0) {
            fail(fmt::format("{}: what was sent with QoS 0 may be lost", why.what),
                 "with -q 1 it is repeated until the broker has acknowledged it");
            unconfirmed_ = 0;
            pinged_ = false;
            if (nothing_left()) runner_->finish();
        } else if (was_connected && unanswered_ > 0 && ++losses_ == kLossesMax) {
            fail(fmt::format("{}: the broker closes the connection on this message", why.what),
                 "is it larger than the broker's limit?");
            runner_->finish();
        } else {
            reporter_.error(fmt::format("{}; next attempt in {} ms", why.what, wait.count()),
                            why.hint);
        }
    }

    [[nodiscard]] bool complete() const noexcept {
        return nothing_left() && !failed_ && unanswered_ == 0 && unconfirmed_ == 0;
    }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

  private:
    void pump();
    bool publish_next();
    void end_when_confirmed();
    [[nodiscard]] bool nothing_left() const noexcept { return input_ended_ && lines_.empty(); }
    void on_done(const mqtt::PublishDone& done);
    void delivered();
    void fail(std::string_view what, std::string_view hint = {}) {
        failed_ = true;
        reporter_.error(what, hint);
    }
    void print_json(std::uint16_t id, ReasonCode reason);

    const PubOptions& options_;
    const Reporter& reporter_;
    ClientRunner* runner_ = nullptr;
    Bytes disconnect_properties_;
    std::deque<std::string> lines_;
    std::uint32_t left_ = 1;  // publications of lines_.front() still to come
    bool input_ended_ = false;
    bool failed_ = false;
    bool is_output_lost_ = false;
    bool delaying_ = false;
    std::size_t unanswered_ = 0;
    bool connected_ = false;         // since the last loss
    int losses_ = 0;                 // of connections, since a message was last answered
    std::uint64_t unconfirmed_ = 0;  // QoS 0 messages sent on this connection
    bool pinged_ = false;            // behind the last of them
    asio::steady_timer delay_timer_;
    asio::steady_timer room_;
    asio::posix::stream_descriptor stdin_;
};

void Publisher::pump() {
    if (runner_->finishing()) return;
    if (runner_->session().connected()) {
        while (!delaying_ && !lines_.empty() && runner_->has_room() && publish_next()) {
        }
        if (lines_.size() < kLinesMax / 2) room_.cancel();
        if (nothing_left() && unanswered_ == 0) end_when_confirmed();
    }
    runner_->flush();
}

void Publisher::end_when_confirmed() {
    if (unconfirmed_ == 0) {
        delay_timer_.cancel();
        runner_->finish(ReasonCode::normal_disconnection, disconnect_properties_);
    } else if (!pinged_ && runner_->all_sent()) {
        // Nobody acknowledges QoS 0, but a broker answers in the order in which it reads: it has
        // read, and not refused, what was sent before a ping it answers.
        runner_->session().ping(monotonic_now(), runner_->output());
        pinged_ = true;
    }
}

/// False: no further message can go out now.
bool Publisher::publish_next() {
    auto& session = runner_->session();
    const auto qos = static_cast<QoS>(options_.qos);
    // With a delay, the next message follows the delivery of this one.
    if (options_.repeat_delay_seconds > 0 && unanswered_ > 0) return false;
    const auto sent =
        session.publish({.topic = *options_.topic,
                         .payload = as_bytes(lines_.front()),
                         .qos = qos,
                         .retain = options_.retain,
                         .properties = options_.connection.properties.publish.bytes()},
                        0,
                        monotonic_now(),
                        runner_->output());
    if (!sent) {
        if (sent.error() == mqtt::SendRefusal::window_full) return false;
        auto what = fmt::format("not published: the broker says: {}", mqtt::name(sent.error()));
        if (sent.error() == mqtt::SendRefusal::packet_too_large) {
            what += fmt::format(" (it takes {} bytes)", session.server().packet_bytes_max);
        }
        fail(what);
    } else if (qos == QoS::at_most_once) {
        reporter_.debug("PUBLISH {} bytes on '{}'", lines_.front().size(), *options_.topic);
        if (options_.json) print_json(0, ReasonCode::success);
        ++unconfirmed_;
        delivered();
    } else {
        reporter_.debug("PUBLISH {} bytes on '{}', identifier {}",
                        lines_.front().size(),
                        *options_.topic,
                        sent->value());
        ++unanswered_;
    }
    if (--left_ == 0) {
        lines_.pop_front();
        left_ = 1;
    }
    return true;
}

void Publisher::on_done(const mqtt::PublishDone& done) {
    if (unanswered_ > 0) --unanswered_;
    losses_ = 0;
    if (options_.json) print_json(done.packet_id.value(), done.reason);
    if (mqtt::is_failure(done.reason)) {
        fail(fmt::format(
            "publish refused: {}",
            describe(done.reason, done.properties.reason_string().value_or(std::string_view{}))));
    } else {
        reporter_.debug("identifier {} done: {}", done.packet_id.value(), describe(done.reason));
    }
    delivered();
}

void Publisher::delivered() {
    if (options_.repeat_delay_seconds <= 0) return;
    delaying_ = true;
    delay_timer_.expires_after(
        std::chrono::microseconds{static_cast<std::int64_t>(options_.repeat_delay_seconds * 1e6)});
    delay_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        delaying_ = false;
        pump();
    });
}

void Publisher::print_json(std::uint16_t id, ReasonCode reason) {
    std::string line = R"({"topic":)";
    append_json_string(line, *options_.topic);
    line += fmt::format(R"(,"qos":{},"retain":{})", options_.qos, options_.retain ? 1 : 0);
    if (id != 0) line += fmt::format(R"(,"mid":{})", id);
    line += fmt::format(
        R"(,"reason_code":{},"reason":"{}"}})", mqtt::to_number(reason), mqtt::name(reason));
    line += '\n';
    const bool written =
        std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0;
    if (written || is_output_lost_) return;
    is_output_lost_ = true;  // the messages go on: that they arrive matters more
    fail(fmt::format("cannot write: {}", std::strerror(errno)));
}

asio::awaitable<void> Publisher::read_lines() {
    // The descriptor stays blocking, as whoever shares it (a shell) expects; files cannot be waited
    // for and are always ready.
    boost::system::error_code error;
    stdin_.assign(::dup(STDIN_FILENO), error);
    bool can_wait = !error;
    std::string rest;
    std::array<char, 65536> buffer{};
    while (!runner_->finishing()) {
        if (lines_.size() >= kLinesMax) {
            room_.expires_after(std::chrono::hours{24});
            co_await room_.async_wait(kTuple);
            continue;
        }
        if (can_wait) {
            const auto [failure] =
                co_await stdin_.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
            if (failure == asio::error::operation_aborted) co_return;
            if (failure) can_wait = false;
        }
        const auto n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) fail(fmt::format("cannot read stdin: {}", std::strerror(errno)));
        if (n <= 0) break;
        rest.append(buffer.data(), static_cast<std::size_t>(n));
        std::size_t start = 0;
        for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n', start)) {
            lines_.emplace_back(rest, start, end - start);
            start = end + 1;
        }
        rest.erase(0, start);
        if (rest.size() > kLineBytesMax) {
            fail("a line of more than 256 MiB does not fit into a packet");
            break;
        }
        pump();
    }
    if (!rest.empty() && rest.size() <= kLineBytesMax) lines_.push_back(std::move(rest));
    input_ended_ = true;
    pump();
}

/// The payload of a single message, or nothing if it cannot be read.
std::optional<std::string> single_payload(const PubOptions& options, const Reporter& reporter) {
    switch (options.source) {
        case PayloadSource::text:
            return *options.message;
        case PayloadSource::empty:
        case PayloadSource::stdin_lines:
            return std::string{};
        case PayloadSource::stdin_whole: {
            auto all = read_to_end(STDIN_FILENO);
            if (all) return *std::move(all);
            reporter.error(fmt::format("cannot read stdin: {}", all.error()));
            return std::nullopt;
        }
        case PayloadSource::file:
            break;
    }
    const Descriptor file{::open(options.file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) {
        reporter.error(fmt::format("cannot open '{}': {}", options.file, std::strerror(errno)));
        return std::nullopt;
    }
    auto all = read_to_end(file.get());
    if (all) return *std::move(all);
    reporter.error(fmt::format("cannot read '{}': {}", options.file, all.error()));
    return std::nullopt;
}

int publish_all(const PubOptions& options, Connection connection, const Reporter& reporter) {
    auto payload = single_payload(options, reporter);
    if (!payload) return kExitFailed;
    // An outage of the broker is survived, but not for ever: scripts wait for us.
    connection.runner.retry_for = std::chrono::seconds{60};

    asio::io_context io{1};
    mqtt::ClientSession session{std::move(connection.client)};
    Publisher publisher{io, options, reporter};
    ClientRunner runner{io, connection.runner, session, publisher};
    publisher.attach(runner, std::move(connection.disconnect_properties));
    if (options.source == PayloadSource::stdin_lines) {
        asio::co_spawn(io, publisher.read_lines(), asio::detached);
    } else {
        publisher.set_single(*std::move(payload));
    }
    const auto result = run_to_end(io, runner, [&] { runner.finish(); });
    if (result.error) {
        reporter.error(*result.error);
        return kExitFailed;
    }
    if (publisher.failed()) return kExitFailed;
    if (!publisher.complete()) {
        reporter.error("interrupted before everything was published");
        return kExitFailed;
    }
    return kExitOk;
}

}  // namespace

int run_pub(int argc, char** argv) { return run_client_tool<PubOptions>(argc, argv, publish_all); }

}  // namespace stentor::tools
