#pragma once
// A durable session that nobody is connected to, in one block of memory: most of a million phones
// are that. It holds what a session is and where it stands; a session about which something is on
// its way, unfinished or waiting for its time stays a SessionEntry (see can_rest()).
// One thread: the shard's. Movable; reset() comes before the end.

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "protocol/codec/types.hpp"
#include "server/shard/resting_blocks.hpp"
#include "server/shard/session_entry.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace stentor::server {

/// Borrows its text from the session.
struct RestingSubscription {
    std::string_view text;
    std::uint64_t share_key = 0;
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;
    Seq since;
    store::KeptSpans kept;
};

class RestingSession {
  public:
    /// None.
    RestingSession() noexcept = default;
    /// `entry` must be able to rest.
    RestingSession(const SessionEntry& entry, RestingBlocks& blocks);
    RestingSession(RestingSession&& other) noexcept
        : block_{std::exchange(other.block_, nullptr)} {}
    RestingSession& operator=(RestingSession&& other) noexcept {
        STENTOR_ASSERT(block_ == nullptr, "reset() comes before");
        block_ = std::exchange(other.block_, nullptr);
        return *this;
    }
    RestingSession(const RestingSession&) = delete;
    RestingSession& operator=(const RestingSession&) = delete;
    ~RestingSession() { STENTOR_ASSERT(block_ == nullptr, "reset() comes before"); }

    /// Detached and durable, without a will or deliveries that are not finished, and with all of
    /// its state in the log.
    [[nodiscard]] static bool can_rest(const SessionEntry& entry) noexcept;

    [[nodiscard]] explicit operator bool() const noexcept { return block_ != nullptr; }
    /// None; it may be that already. `blocks` as it was made with.
    void reset(RestingBlocks& blocks) noexcept;

    /// Fills an entry in; all but its slot.
    void wake(SessionEntry& entry) const;

    [[nodiscard]] std::string_view client_id() const noexcept;
    [[nodiscard]] std::string_view user() const noexcept;
    [[nodiscard]] mqtt::ProtocolVersion version() const noexcept { return head().version(); }
    [[nodiscard]] std::size_t subscriptions() const noexcept { return head().subscriptions; }
    [[nodiscard]] std::uint32_t expiry_seconds() const noexcept { return head().expiry_seconds; }
    [[nodiscard]] Instant detached_at() const noexcept { return head().detached_at; }
    [[nodiscard]] LastEnd last_end() const noexcept { return {head().last_end}; }
    [[nodiscard]] std::uint32_t born() const noexcept { return head().born; }
    [[nodiscard]] std::uint32_t generation() const noexcept { return head().generation; }
    [[nodiscard]] Seq position() const noexcept { return head().position; }
    [[nodiscard]] BacklogLoad backlog_count_at() const noexcept { return head().backlog_count_at; }
    [[nodiscard]] Instant expires_at() const noexcept {
        return SessionEntry::expires_at(head().detached_at, head().expiry_seconds);
    }

    /// Calls visit(const RestingSubscription&) for each, in order of text.
    template <class Visit>
    void for_each_subscription(Visit&& visit) const;
    /// The same until it returns false; then this does, too.
    template <class Visit>
    [[nodiscard]] bool for_each_subscription_while(Visit&& visit) const;

    /// The bytes it takes besides this object.
    [[nodiscard]] std::size_t bytes() const noexcept;

  private:
    // In front of the block; client identifier, user, a loss to tell (messages, reason) if it is
    // flagged, and subscriptions follow.
    struct Head {
        Seq position;  // all that matches and lies at or below it was sent; the log knows it
        BacklogLoad backlog_count_at = 0;
        Instant detached_at;
        std::uint32_t expiry_seconds = 0;
        std::uint32_t born = 0;
        std::uint32_t generation = 0;
        std::uint32_t subscriptions = 0;
        std::uint16_t client_id_bytes = 0;
        std::uint16_t user_bytes = 0;
        std::uint16_t last_packet_id = 0;
        std::uint8_t last_end = LastEnd::kUnknown;
        std::uint8_t version_and_flags = 0;

        static constexpr std::uint8_t kIsAdmin = 0x80;
        static constexpr std::uint8_t kHasLoss = 0x40;
        [[nodiscard]] mqtt::ProtocolVersion version() const noexcept {
            return static_cast<mqtt::ProtocolVersion>(version_and_flags & ~(kIsAdmin | kHasLoss));
        }
        [[nodiscard]] bool admin() const noexcept { return (version_and_flags & kIsAdmin) != 0; }
        [[nodiscard]] bool has_loss() const noexcept { return (version_and_flags & kHasLoss) != 0; }
    };
    static constexpr std::size_t kLossBytes =
        sizeof(BacklogLoss::messages) + sizeof(BacklogLoss::reason);
    // Before each subscription's text; share key, identifier and what is kept of an earlier QoS (a
    // count, then so many) stand between where flagged.
    struct SubscriptionHead {
        Seq since;
        std::uint16_t text_bytes = 0;
        std::byte options{};
        std::uint8_t flags = 0;
    };
    static constexpr std::uint8_t kHasShareKey = 1;
    static constexpr std::uint8_t kHasIdentifier = 2;
    static constexpr std::uint8_t kHasKept = 4;
    // Without the padding at its end.
    static constexpr std::size_t kSubscriptionHeadBytes = 12;

    class Writer;

    [[nodiscard]] Head head() const noexcept {
        Head head;
        std::memcpy(&head, block_, sizeof head);
        return head;
    }
    [[nodiscard]] const std::byte* first_subscription() const noexcept;
    [[nodiscard]] std::unique_ptr<BacklogLoss> loss() const;
    [[nodiscard]] static const std::byte* read(const std::byte* at, RestingSubscription& to);

    std::byte* block_ = nullptr;
};

template <class Visit>
bool RestingSession::for_each_subscription_while(Visit&& visit) const {
    const std::byte* at = first_subscription();
    for (std::uint32_t left = head().subscriptions; left != 0; --left) {
        RestingSubscription subscription;
        at = read(at, subscription);
        if (!visit(subscription)) return false;
    }
    return true;
}

template <class Visit>
void RestingSession::for_each_subscription(Visit&& visit) const {
    (void)for_each_subscription_while([&](const RestingSubscription& each) {
        visit(each);
        return true;
    });
}

}  // namespace stentor::server
