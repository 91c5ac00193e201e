#include "server/shard/resting_session.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

namespace stentor::server {

/// Counts what would be written, or writes it.
class RestingSession::Writer {
  public:
    explicit Writer(std::byte* to) noexcept : to_{to} {}

    void put(const void* from, std::size_t size) noexcept {
        if (to_ != nullptr && size != 0) std::memcpy(to_ + written_, from, size);
        written_ += size;
    }
    template <class T>
    void put(const T& value) noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        put(&value, sizeof value);
    }
    void put(std::string_view text) noexcept { put(text.data(), text.size()); }

    /// All up to `position` has been sent.
    void put_subscription(const Subscription& from, Seq position) noexcept {
        SubscriptionHead head{};
        head.since = from.since;
        head.text_bytes = static_cast<std::uint16_t>(from.text.size());
        head.options = from.options.to_byte();
        if (from.share_key != 0) head.flags |= kHasShareKey;
        if (from.identifier != 0) head.flags |= kHasIdentifier;
        if (from.kept.last() > position) head.flags |= kHasKept;
        put(&head, kSubscriptionHeadBytes);
        if (from.share_key != 0) put(from.share_key);
        if (from.identifier != 0) put(from.identifier);
        if ((head.flags & kHasKept) != 0) {
            const std::span<const store::KeptSpan> kept = from.kept.all();
            put(static_cast<std::uint8_t>(kept.size()));
            put(kept.data(), kept.size_bytes());
        }
        put(std::string_view{from.text});
    }
    [[nodiscard]] std::size_t written() const noexcept { return written_; }

  private:
    std::byte* to_;
    std::size_t written_ = 0;
};

bool RestingSession::can_rest(const SessionEntry& entry) noexcept {
    constexpr std::size_t kTextMax = std::numeric_limits<std::uint16_t>::max();
    const bool is_settled = entry.attached == nullptr && entry.durable &&
                            entry.detaches_on_their_way == 0 && !entry.state_unsure &&
                            !entry.backlog_checking &&
                            entry.committed_through == entry.sent_through;
    const bool has_unstored_loss = entry.loss != nullptr && !entry.loss_stored;
    const bool has_more = entry.will != nullptr || entry.will_stored || !entry.unanswered.empty() ||
                          has_unstored_loss ||
                          (entry.parts != nullptr &&
                           !(entry.parts->inflight.empty() && entry.parts->inbound_qos2.empty() &&
                             entry.parts->queued_shares.empty()));
    if (!is_settled || has_more) return false;
    if (entry.client_id.size() > kTextMax || entry.identity.user.size() > kTextMax) return false;
    return std::none_of(entry.subscriptions.begin(), entry.subscriptions.end(), [](const auto& s) {
        return s.replay_next != nullptr || s.text.size() > kTextMax;
    });
}

RestingSession::RestingSession(const SessionEntry& entry, RestingBlocks& blocks) {
    STENTOR_ASSERT(can_rest(entry));
    const Head head{
        .position = entry.sent_through,
        .backlog_count_at = entry.backlog_count_at,
        .detached_at = entry.detached_at,
        .expiry_seconds = entry.expiry_seconds,
        .born = entry.born,
        .generation = entry.generation,
        .subscriptions = static_cast<std::uint32_t>(entry.subscriptions.size()),
        .client_id_bytes = static_cast<std::uint16_t>(entry.client_id.size()),
        .user_bytes = static_cast<std::uint16_t>(entry.identity.user.size()),
        .last_packet_id = entry.parts != nullptr ? entry.parts->last_packet_id : std::uint16_t{0},
        .last_end = entry.last_end.code,
        .version_and_flags = static_cast<std::uint8_t>(
            static_cast<unsigned>(entry.version) | (entry.identity.admin ? Head::kIsAdmin : 0U) |
            (entry.loss != nullptr ? Head::kHasLoss : 0U))};
    const auto write = [&](Writer& out) {
        out.put(head);
        out.put(std::string_view{entry.client_id});
        out.put(std::string_view{entry.identity.user});
        if (entry.loss != nullptr) {
            out.put(entry.loss->messages);
            out.put(entry.loss->reason);
        }
        for (const Subscription& each : entry.subscriptions) {
            out.put_subscription(each, entry.sent_through);
        }
    };
    Writer size{nullptr};
    write(size);
    block_ = blocks.take(size.written());
    Writer out{block_};
    write(out);
}

void RestingSession::reset(RestingBlocks& blocks) noexcept {
    if (block_ == nullptr) return;
    blocks.give_back(block_, bytes());
    block_ = nullptr;
}

std::string_view RestingSession::client_id() const noexcept {
    return as_text({block_ + sizeof(Head), head().client_id_bytes});
}

std::string_view RestingSession::user() const noexcept {
    const Head from = head();
    return as_text({block_ + sizeof(Head) + from.client_id_bytes, from.user_bytes});
}

const std::byte* RestingSession::first_subscription() const noexcept {
    const Head from = head();
    const std::size_t loss_bytes = from.has_loss() ? kLossBytes : 0;
    return block_ + sizeof(Head) + from.client_id_bytes + from.user_bytes + loss_bytes;
}

/// Null: there is none to tell.
std::unique_ptr<BacklogLoss> RestingSession::loss() const {
    if (!head().has_loss()) return nullptr;
    auto loss = std::make_unique<BacklogLoss>();
    const std::byte* const at = first_subscription() - kLossBytes;
    std::memcpy(&loss->messages, at, sizeof loss->messages);
    std::memcpy(&loss->reason, at + sizeof loss->messages, sizeof loss->reason);
    return loss;
}

const std::byte* RestingSession::read(const std::byte* at, RestingSubscription& to) {
    const auto take = [&at](void* into, std::size_t size) {
        std::memcpy(into, at, size);
        at += size;
    };
    SubscriptionHead head{};
    take(&head, kSubscriptionHeadBytes);
    const auto options = mqtt::SubscriptionOptions::from_byte(head.options);
    STENTOR_ASSERT(options.has_value());
    to.options = *options;
    to.since = head.since;
    if ((head.flags & kHasShareKey) != 0) take(&to.share_key, sizeof to.share_key);
    if ((head.flags & kHasIdentifier) != 0) take(&to.identifier, sizeof to.identifier);
    if ((head.flags & kHasKept) != 0) {
        std::uint8_t count = 0;
        for (take(&count, sizeof count); count != 0; --count) {
            store::KeptSpan span;
            take(&span, sizeof span);
            to.kept.keep(span, kNoSeq);
        }
    }
    to.text = as_text({at, head.text_bytes});
    return at + head.text_bytes;
}

void RestingSession::wake(SessionEntry& entry) const {
    const Head from = head();
    entry.client_id = client_id();
    entry.born = from.born;
    entry.generation = from.generation;
    entry.durable = true;
    entry.version = from.version();
    entry.last_end = {from.last_end};
    entry.expiry_seconds = from.expiry_seconds;
    entry.identity.user = user();
    entry.identity.admin = from.admin();
    entry.sent_through = from.position;
    entry.committed_through = from.position;
    entry.backlog_count_at = from.backlog_count_at;
    entry.detached_at = from.detached_at;
    entry.loss = loss();
    entry.loss_stored = entry.loss != nullptr;
    entry.subscriptions.reserve(from.subscriptions);
    for_each_subscription([&](const RestingSubscription& each) {
        Subscription& to = entry.subscriptions.emplace_back();
        to.text = each.text;
        to.share_key = each.share_key;
        to.options = each.options;
        to.identifier = each.identifier;
        to.since = each.since;
        to.kept = each.kept;
    });
    if (from.last_packet_id != 0) {
        entry.parts = std::make_unique<mqtt::SessionParts>();
        entry.parts->last_packet_id = from.last_packet_id;
    }
}

std::size_t RestingSession::bytes() const noexcept {
    const std::byte* end = first_subscription();
    RestingSubscription ignored;
    for (std::uint32_t left = head().subscriptions; left != 0; --left) end = read(end, ignored);
    return static_cast<std::size_t>(end - block_);
}

}  // namespace stentor::server
