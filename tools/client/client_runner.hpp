#pragma once
// Runs one ClientSession over the network: opens streams, moves bytes, keeps time, reconnects.
// Control plane: coroutines on one io_context, one thread. Handlers are called on that thread.

#include "base/random.hpp"
#include "protocol/session/client/client_session.hpp"
#include "tools/client/stream.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace stentor::tools {

/// What a program wants to know. Whatever it puts into the session during a call is sent after it.
class ClientHandler {
  public:
    ClientHandler() = default;
    ClientHandler(const ClientHandler&) = delete;
    ClientHandler& operator=(const ClientHandler&) = delete;
    virtual ~ClientHandler() = default;

    /// Everything but Closed, which decides about reconnecting or ends run().
    virtual void on_event(const mqtt::ClientEvent& event) = 0;
    /// All events of one read have been told; comes before the answers to them are sent.
    virtual void on_batch() {}
    /// Less than RunnerOptions::output_bytes_max is waiting to be sent again.
    virtual void on_drained() {}
    /// The connection has gone or could not be made again; another attempt follows.
    virtual void on_retry(const ConnectError& /*why*/, std::chrono::milliseconds /*wait*/) {}
};

struct RunnerOptions {
    ConnectOptions connect;
    mqtt::CleanStart clean_start = mqtt::CleanStart::yes;  // of the first connection
    std::size_t output_bytes_max = std::size_t{1} << 20;
    /// For how long after a loss new connections are tried; the first one is tried once.
    std::chrono::milliseconds retry_for{0};
    std::chrono::milliseconds end_patience{1'000};  // for the broker to close after DISCONNECT
    /// For output to move at all, once it is the last.
    std::chrono::milliseconds stall_patience{20'000};
};

class ClientRunner {
  public:
    /// `io`, `session` and `handler` must outlive the runner and what runs on `io`.
    ClientRunner(boost::asio::io_context& io,
                 RunnerOptions options,
                 mqtt::ClientSession& session,
                 ClientHandler& handler);

    /// Connects and serves until finish(), or until nothing can be done any more: then the reason.
    /// After finish() too there is one, if not everything could be sent or the broker's last word
    /// was a refusal (a DISCONNECT from 0x80 on). Once only.
    [[nodiscard]] boost::asio::awaitable<std::optional<ConnectError>> run();

    [[nodiscard]] mqtt::ClientSession& session() noexcept { return session_; }
    /// Where what is put into the session must go. Only while the session is connected.
    [[nodiscard]] mqtt::WireBuffer& output() noexcept { return link_->output; }
    /// False once much is waiting to be sent; on_drained() follows.
    [[nodiscard]] bool has_room() const noexcept;
    /// The system has taken everything; on_drained() says when that has come about.
    [[nodiscard]] bool all_sent() const noexcept;
    /// Call after having put something into the session outside of a handler's call.
    void flush();

    /// Sends what waits and DISCONNECT, and lets run() end. While a connection is being opened it
    /// takes effect afterwards; stop the io_context to end at once.
    void finish(mqtt::ReasonCode reason = mqtt::ReasonCode::normal_disconnection,
                ByteView properties = {});
    [[nodiscard]] bool finishing() const noexcept { return finishing_; }
    /// Lets run() end without another byte to the broker: answers that wait do not leave, so that
    /// what they would have answered comes again. In on_batch() that is all of this batch.
    void abandon();

  private:
    /// One connection; shared by its reader, writer and timekeeper.
    struct Link {
        explicit Link(boost::asio::io_context& io) : timer{io}, wake{io}, patience{io} {}
        std::unique_ptr<Stream> stream;
        mqtt::WireBuffer output;
        std::size_t sending = 0;  // bytes handed to the stream and not yet taken
        std::uint64_t written = 0;
        std::optional<boost::system::error_code> write_error;
        boost::asio::steady_timer timer;
        boost::asio::steady_timer wake;
        boost::asio::steady_timer patience;  // for the peer to close; then we do
        Instant up_since = kNever;           // when CONNACK came
        bool useful = false;                 // an answer to more than CONNECT came
        bool ended = false;                  // output is complete; only the last word matters
        bool abandoned = false;
        std::optional<mqtt::CloseCause> closed;
        mqtt::ReasonCode reason = mqtt::ReasonCode::success;
        ConnectError why;
    };

    [[nodiscard]] boost::asio::awaitable<void> serve(std::shared_ptr<Link> link);
    [[nodiscard]] boost::asio::awaitable<void> write_output(std::shared_ptr<Link> link);
    [[nodiscard]] boost::asio::awaitable<bool> write_all(std::shared_ptr<Link> link);
    [[nodiscard]] boost::asio::awaitable<void> keep_time(std::shared_ptr<Link> link);
    [[nodiscard]] boost::asio::awaitable<void> watch_end(std::shared_ptr<Link> link);
    void feed(Link& link, Bytes& input);
    void hear_last_word(Link& link, Bytes& input);
    void close_soon(const std::shared_ptr<Link>& link);
    [[nodiscard]] std::optional<ConnectError> failure_at_end(const Link& link) const;
    void on_closed(Link& link, const mqtt::Closed& closed);
    void end(Link& link);
    [[nodiscard]] ConnectError lost(const boost::system::error_code& error) const;
    [[nodiscard]] bool worth_another_try(const Link& link) const noexcept;

    boost::asio::io_context& io_;
    RunnerOptions options_;
    mqtt::ClientSession& session_;
    ClientHandler& handler_;
    std::shared_ptr<Link> link_;
    boost::asio::steady_timer retry_timer_;
    bool finishing_ = false;
    bool was_connected_ = false;
    Random jitter_;
};

/// "not authorised (0x87)", with ": reason" if the broker gave one. For users, so with spaces.
[[nodiscard]] std::string describe(mqtt::ReasonCode reason, std::string_view reason_string = {});

}  // namespace stentor::tools
