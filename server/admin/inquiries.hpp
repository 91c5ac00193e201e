#pragma once
// From the HTTP API to the shards and back: questions of administrators, by mailbox.
// ask() and kick() are for the HTTP server's thread; found() is called on the shards'.
//
// Bounds: a shard has one question at a time, whoever asks how much, so that lists cost it a slice
// of a turn each (server/shard/inquiry.hpp) and no more; the others wait here, first come first
// served. One that is not answered within `patience` is given up, and the next one follows when the
// shard has answered it after all. Kicks do not wait for questions: they are as many as there are
// requests.

#include "base/ids.hpp"
#include "server/shard/inquiry.hpp"
#include "server/shard/mailbox.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace stentor::admin {

class Inquiries final : public server::InquirySink {
  public:
    /// `mailboxes` by ShardId; they outlive this object. When it is destroyed no mailbox and no
    /// shard holds a question of it any more, and `io` runs nothing of it.
    Inquiries(boost::asio::io_context& io,
              std::span<server::Mailbox* const> mailboxes,
              std::chrono::milliseconds patience = std::chrono::milliseconds{10'000});
    ~Inquiries() = default;
    Inquiries(const Inquiries&) = delete;
    Inquiries& operator=(const Inquiries&) = delete;

    /// Nothing: the shard has no time, or is being replaced.
    [[nodiscard]] boost::asio::awaitable<std::optional<server::Finding>> ask(
        ShardId shard, server::Question question);
    /// Nothing: it is not known what has become of it.
    [[nodiscard]] boost::asio::awaitable<std::optional<server::Finding>> kick(ShardId shard,
                                                                              std::string client_id,
                                                                              bool discard_session);

    void found(std::uint64_t cookie, std::optional<server::Finding> finding) noexcept override;

  private:
    struct Waiting {
        explicit Waiting(boost::asio::io_context& io) : answered{io} {}
        boost::asio::steady_timer answered;  // cancelled when it is so
        std::optional<server::Finding> finding;
    };
    struct Open {
        std::optional<ShardId> holds_turn_of = {};
        Waiting* waiting = nullptr;  // in the asking frame; null: it has given up
    };
    struct Turn {
        bool taken = false;
        std::deque<boost::asio::steady_timer*> queue;  // in frames that wait for it
    };

    [[nodiscard]] boost::asio::awaitable<bool> take_turn(ShardId shard);
    void pass_turn(ShardId shard);
    [[nodiscard]] boost::asio::awaitable<std::optional<server::Finding>> wait(std::uint64_t cookie,
                                                                              Waiting& waiting);
    void told(std::uint64_t cookie, std::optional<server::Finding> finding);

    boost::asio::io_context& io_;
    std::span<server::Mailbox* const> mailboxes_;
    const std::chrono::milliseconds patience_;
    std::vector<Turn> turns_;                       // by ShardId
    std::unordered_map<std::uint64_t, Open> open_;  // by cookie
    std::uint64_t next_cookie_ = 1;
};

}  // namespace stentor::admin
