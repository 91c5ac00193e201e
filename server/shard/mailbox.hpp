#pragma once
// The one inbox of a shard, for all producers: what one thread pushes stays in its order, and a
// logged message cannot be overtaken by an unlogged one its publisher sent later (rule 2). What is
// about a connection and not about messages (overtakes()) does not wait behind those.
// Any thread pushes; its shard drains. The mutex is held for a move of a few words.

#include "server/shard/shard_message.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace stentor::server {

enum class Push : std::uint8_t { ok, full };

class Mailbox {
  public:
    /// `messages_max` bounds what push() takes. push_reserved() is for what must not be refused,
    /// and is bounded where it comes from: tickets and commit groups by the records under way (64
    /// MiB or 4096 batches), pages and retained answers by one question per session, verdicts and
    /// moves by the connections, shares with QoS 1/2 by the members' windows and with QoS 0 by
    /// 10,000 each turn, joins and leaves by the subscriptions. `wake` is called, on the pushing
    /// thread, when a sleeping shard has to look.
    /// `bytes_max`: see is_behind().
    Mailbox(std::size_t messages_max,
            std::function<void()> wake,
            std::size_t bytes_max = std::size_t{8} << 20U)
        : messages_max_{messages_max}, bytes_max_{bytes_max}, wake_{std::move(wake)} {}

    /// Push::full: `message` is untouched; stop reading from whoever caused it and try again.
    [[nodiscard]] Push push(ShardMessage& message) {
        const std::size_t bytes = bytes_of(message);
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.size() >= messages_max_) return Push::full;
            bytes_.fetch_add(bytes, std::memory_order_relaxed);
            waiting_.push_back(std::move(message));
        }
        wake_if_asleep();
        return Push::ok;
    }

    void push_reserved(ShardMessage message) {
        bytes_.fetch_add(bytes_of(message), std::memory_order_relaxed);
        {
            const std::lock_guard lock{mutex_};
            if (overtakes(message)) {
                ahead_.push_back(std::move(message));
                anything_ahead_.store(true, std::memory_order_relaxed);
            } else {
                waiting_.push_back(std::move(message));
            }
        }
        wake_if_asleep();
    }

    /// Any thread: MQTT messages of so many bytes are on their way to this shard, or were drained
    /// and are not handled() yet, that nobody should publish more before it has caught up.
    [[nodiscard]] bool is_behind() const noexcept {
        return bytes_.load(std::memory_order_relaxed) > bytes_max_;
    }

    /// The shard's thread: everything that has come, in order, into `out` (whose capacity is used
    /// again). Returns what handled() is to be told when it has been.
    [[nodiscard]] std::size_t drain(std::vector<ShardMessage>& out) {
        out.clear();
        {
            const std::lock_guard lock{mutex_};
            std::swap(out, waiting_);
        }
        std::size_t bytes = 0;
        for (const ShardMessage& message : out) bytes += bytes_of(message);
        return bytes;
    }
    /// Those that overtake, in their order; they are none of drain()'s. The shard's thread.
    [[nodiscard]] bool anything_ahead() const noexcept {
        return anything_ahead_.load(std::memory_order_relaxed);
    }
    void drain_ahead(std::vector<ShardMessage>& out) {
        out.clear();
        const std::lock_guard lock{mutex_};
        std::swap(out, ahead_);
        anything_ahead_.store(false, std::memory_order_relaxed);
    }
    void handled(std::size_t bytes) noexcept { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }

    /// The shard's thread, before it sleeps: false if something has come meanwhile. Until awake()
    /// the first push calls `wake`.
    [[nodiscard]] bool prepare_sleep() {
        asleep_.store(true, std::memory_order_seq_cst);
        const std::lock_guard lock{mutex_};
        if (waiting_.empty() && ahead_.empty()) return true;
        asleep_.store(false, std::memory_order_relaxed);
        return false;
    }
    void awake() noexcept { asleep_.store(false, std::memory_order_relaxed); }

  private:
    void wake_if_asleep() {
        if (asleep_.exchange(false, std::memory_order_seq_cst)) wake_();
    }

    const std::size_t messages_max_;
    const std::size_t bytes_max_;
    const std::function<void()> wake_;
    std::mutex mutex_;
    std::vector<ShardMessage> waiting_;
    std::vector<ShardMessage> ahead_;
    std::atomic<bool> anything_ahead_{false};
    std::atomic<bool> asleep_{false};
    std::atomic<std::size_t> bytes_{0};
};

}  // namespace stentor::server
