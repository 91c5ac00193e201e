#include "tools/sub/sub.hpp"

#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/wall_clock.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"
#include "tools/client/tool_main.hpp"
#include "tools/sub/sub_options.hpp"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace stentor::tools {
namespace {

namespace asio = boost::asio;
using mqtt::QoS;
using mqtt::ReasonCode;

constexpr int kExitTimedOut = 27;  // mosquitto_sub's

WallTime wall_now() { return WallTime{std::chrono::microseconds{wall_clock_unix_us()}}; }

/// Subscribes on every connection that starts afresh, prints, and knows when it is over.
class Subscriber final : public ClientHandler {
  public:
    Subscriber(asio::io_context& io, const SubOptions& options, const Reporter& reporter)
        : io_{io}, options_{options}, reporter_{reporter}, timeout_{io}, chance_{random_seed()} {}

    void attach(ClientRunner& runner, Bytes disconnect_properties) {
        runner_ = &runner;
        disconnect_properties_ = std::move(disconnect_properties);
    }

    void on_event(const mqtt::ClientEvent& event) override {
        if (const auto* received = std::get_if<mqtt::Received>(&event)) {
            on_message(received->publish);
        } else if (const auto* connected = std::get_if<mqtt::Connected>(&event)) {
            on_connected(connected->session_present);
        } else if (const auto* subscribed = std::get_if<mqtt::SubscribeDone>(&event)) {
            on_subscribed(*subscribed);
        } else if (const auto* gone = std::get_if<mqtt::UnsubscribeDone>(&event)) {
            on_unsubscribed(*gone);
        } else if (std::holds_alternative<mqtt::PublishDone>(event) && ending_) {
            finish();
        }
    }
    void on_batch() override { write_out(); }
    void on_retry(const ConnectError& why, std::chrono::milliseconds wait) override {
        reporter_.error(fmt::format("{}; next attempt in {} ms", why.what, wait.count()), why.hint);
    }

    /// From now on, while connections are made as well: whoever calls waits no longer than asked.
    void start_timeout();

    /// Ends as soon as what we have published is acknowledged.
    void finish() {
        ending_ = true;
        if (runner_->session().unacknowledged() > 0) return;
        timeout_.cancel();
        runner_->finish(ReasonCode::normal_disconnection, disconnect_properties_);
    }
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

  private:
    void on_connected(bool session_present);
    void on_subscribed(const mqtt::SubscribeDone& done);
    void on_unsubscribed(const mqtt::UnsubscribeDone& done);
    void on_message(const mqtt::PublishView& message);
    void subscribe();
    void unsubscribe();
    void maybe_ready();
    void remove_retained(std::string_view topic);
    [[nodiscard]] bool is_filtered_out(std::string_view topic) const;
    void print(const mqtt::PublishView& message);
    void write_out();
    void fail(std::string_view what, std::string_view hint = {}) {
        exit_code_ = kExitFailed;
        reporter_.error(what, hint);
    }

    asio::io_context& io_;
    const SubOptions& options_;
    const Reporter& reporter_;
    ClientRunner* runner_ = nullptr;
    Bytes disconnect_properties_;
    asio::steady_timer timeout_;
    Random chance_;
    std::string output_;
    bool was_connected_ = false;
    bool ending_ = false;
    int requests_ = 0;  // SUBSCRIBE and UNSUBSCRIBE not answered
    std::uint32_t printed_ = 0;
    int exit_code_ = kExitOk;
};

void Subscriber::start_timeout() {
    if (!options_.timeout_seconds) return;
    timeout_.expires_after(
        std::chrono::microseconds{static_cast<std::int64_t>(*options_.timeout_seconds * 1e6)});
    timeout_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        reporter_.error("timed out");
        exit_code_ = kExitTimedOut;
        ending_ = true;
        if (runner_->session().connected()) {
            runner_->finish(ReasonCode::normal_disconnection, disconnect_properties_);
        } else {
            io_.stop();  // nobody there to say goodbye to
        }
    });
}

void Subscriber::on_connected(bool session_present) {
    reporter_.debug("connected as '{}'{}",
                    runner_->session().client_id(),
                    session_present ? ", session resumed" : "");
    const bool still_subscribed = was_connected_ && session_present;
    was_connected_ = true;
    requests_ = 0;
    if (still_subscribed) return;
    if (!options_.topics.empty()) subscribe();
    if (!options_.unsubscribe.empty()) unsubscribe();
}

void Subscriber::subscribe() {
    std::vector<mqtt::SubscriptionView> entries;
    for (const auto& topic : options_.topics) {
        entries.push_back({.filter = topic,
                           .options = {.qos = static_cast<QoS>(options_.qos),
                                       .retain_as_published = options_.retain_as_published}});
    }
    const auto sent = runner_->session().subscribe(entries,
                                                   options_.connection.properties.subscribe.bytes(),
                                                   monotonic_now(),
                                                   runner_->output());
    if (!sent) {
        fail(fmt::format("not subscribed: the broker says: {}", mqtt::name(sent.error())));
        finish();
        return;
    }
    ++requests_;
}

void Subscriber::unsubscribe() {
    std::vector<std::string_view> filters{options_.unsubscribe.begin(), options_.unsubscribe.end()};
    const auto sent =
        runner_->session().unsubscribe(filters,
                                       options_.connection.properties.unsubscribe.bytes(),
                                       monotonic_now(),
                                       runner_->output());
    if (sent) ++requests_;
}

void Subscriber::on_subscribed(const mqtt::SubscribeDone& done) {
    --requests_;
    std::size_t refused = 0;
    for (std::size_t i = 0; i < done.reasons.size(); ++i) {
        const auto& topic = options_.topics[i];
        if (!mqtt::is_failure(done.reasons[i])) {
            reporter_.debug(
                "subscribed to '{}' with QoS {}", topic, mqtt::to_number(done.reasons[i]));
            continue;
        }
        ++refused;
        const auto said = done.properties.reason_string().value_or(std::string_view{});
        const auto why = describe(done.reasons[i], said);
        if (options_.exit_when_subscribed || refused == done.reasons.size()) {
            fail(fmt::format("subscription to '{}' refused: {}", topic, why));
        } else {
            reporter_.error(fmt::format("subscription to '{}' refused: {}", topic, why));
        }
    }
    if (refused == done.reasons.size()) {
        exit_code_ = kExitFailed;
        finish();
        return;
    }
    maybe_ready();
}

void Subscriber::on_unsubscribed(const mqtt::UnsubscribeDone& done) {
    --requests_;
    for (std::size_t i = 0; i < done.reasons.size(); ++i) {
        if (!mqtt::is_failure(done.reasons[i])) continue;
        fail(fmt::format("unsubscribing from '{}' refused: {}",
                         options_.unsubscribe[i],
                         describe(done.reasons[i])));
    }
    maybe_ready();
}

void Subscriber::maybe_ready() {
    if (requests_ == 0 && options_.exit_when_subscribed) finish();
}

bool Subscriber::is_filtered_out(std::string_view topic) const {
    return std::ranges::any_of(options_.filtered_out, [&](const std::string& text) {
        return mqtt::matches(mqtt::parse_subscription_filter(text).filter, topic);
    });
}

void Subscriber::remove_retained(std::string_view topic) {
    const auto sent =
        runner_->session().publish({.topic = topic, .qos = QoS::at_least_once, .retain = true},
                                   0,
                                   monotonic_now(),
                                   runner_->output());
    if (!sent) fail(fmt::format("'{}' not deleted: {}", topic, mqtt::name(sent.error())));
}

void Subscriber::on_message(const mqtt::PublishView& message) {
    if (ending_) return;
    if (options_.retained_only && !message.retain) {
        finish();
        return;
    }
    if (is_filtered_out(message.topic)) return;
    if (options_.remove_retained && message.retain) remove_retained(message.topic);
    if (options_.no_retained && message.retain) return;
    if (options_.random_filter_percent < 100 &&
        static_cast<double>(chance_.below(1'000'000)) >= options_.random_filter_percent * 1e4) {
        return;
    }
    print(message);
    if (options_.count && ++printed_ == *options_.count) finish();
}

void Subscriber::print(const mqtt::PublishView& message) {
    if (!options_.format.print(message, wall_now(), output_)) {
        reporter_.error(
            fmt::format("message payload is not valid JSON on topic {}", message.topic));
        return;
    }
    if (!options_.no_line_end) output_ += '\n';
}

void Subscriber::write_out() {
    if (output_.empty()) return;
    const bool written = std::fwrite(output_.data(), 1, output_.size(), stdout) == output_.size() &&
                         std::fflush(stdout) == 0;
    output_.clear();
    if (written) return;
    const int error = errno;
    // What could not be written is not acknowledged: a durable session gets it again.
    timeout_.cancel();
    ending_ = true;
    runner_->abandon();
    // A reader that has gone (`| head`) is no news to the user; a full disk is.
    exit_code_ = kExitFailed;
    if (error != EPIPE) reporter_.error(fmt::format("cannot write: {}", std::strerror(error)));
}

int subscribe_and_print(const SubOptions& options,
                        Connection connection,
                        const Reporter& reporter) {
    connection.runner.retry_for = std::chrono::hours{24 * 365};  // as long as the user lets us
    asio::io_context io{1};
    mqtt::ClientSession session{std::move(connection.client)};
    Subscriber subscriber{io, options, reporter};
    ClientRunner runner{io, connection.runner, session, subscriber};
    subscriber.attach(runner, std::move(connection.disconnect_properties));
    subscriber.start_timeout();
    const auto result = run_to_end(io, runner, [&] { subscriber.finish(); });
    if (result.error) {
        reporter.error(*result.error);
        return kExitFailed;
    }
    return subscriber.exit_code();
}

}  // namespace

int run_sub(int argc, char** argv) {
    return run_client_tool<SubOptions>(argc, argv, subscribe_and_print);
}

}  // namespace stentor::tools
