// What administrators ask: lists in slices, one client, and the end of one.
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;

namespace {

/// Like $SYS, which lies apart from all other retained values.
bool is_brokers(std::string_view filter) { return filter.starts_with("$SYS/"); }

bool fits(const ClientsQuestion& asked,
          std::string_view client_id,
          std::string_view user,
          bool connected) {
    return (!asked.connected || *asked.connected == connected) &&
           client_id.starts_with(asked.prefix) && (!asked.user || *asked.user == user);
}

bool fits(const SubscriptionsQuestion& asked, std::string_view text) {
    if (!asked.filter.empty() && asked.filter != text) return false;
    return asked.topic.empty() ||
           mqtt::matches(mqtt::parse_subscription_filter(text).filter, asked.topic);
}

void count_subscription(ClientDetails& to, const auto& subscription) {
    if (subscription.share_key != 0) ++to.subscriptions_shared;
    if (subscription.options.qos != QoS::at_most_once) ++to.subscriptions_kept_for;
}

/// What is listed of a session's subscriptions, and how far that is.
class SubscriptionLister {
  public:
    SubscriptionLister(const SubscriptionsQuestion& asked, SubscriptionsPage& page) noexcept
        : asked_{asked}, page_{page} {}

    [[nodiscard]] bool is_full() const noexcept {
        return page_.items.size() >= asked_.items_max || bytes_ >= kInquiryBytesMax ||
               page_.looked_at >= kInquirySubscriptionsMax;
    }
    void begin_session(std::string_view client_id, bool connected) noexcept {
        client_id_ = client_id;
        connected_ = connected;
    }
    /// In the order of their texts. False: the page is full, and this one begins the next.
    [[nodiscard]] bool take(const auto& subscription) {
        const std::string_view text{subscription.text};
        if (text < page_.next.next_text) return true;
        if (is_full()) {
            page_.next.next_text = text;
            return false;
        }
        ++page_.looked_at;
        if (!fits(asked_, text)) return true;
        bytes_ += client_id_.size() + text.size();
        page_.items.push_back({.client_id = std::string{client_id_},
                               .filter = std::string{text},
                               .options = subscription.options,
                               .identifier = subscription.identifier,
                               .connected = connected_});
        return true;
    }

  private:
    const SubscriptionsQuestion& asked_;
    SubscriptionsPage& page_;
    std::string_view client_id_;
    std::size_t bytes_ = 0;
    bool connected_ = false;
};

}  // namespace

void Shard::inquire(Inquiry inquiry, Instant now) {
    Finding finding =
        std::visit([&](auto& asked) { return Finding{look_up(asked, now)}; }, inquiry.question);
    inquiry.asker.tell(std::move(finding));
}

/// Whether `from` is of this life; the first place of a list is of any.
bool Shard::is_listing(const ListPlace& from) const noexcept {
    return from.listing == listing_ || (from.slot == 0 && from.next_text.empty());
}

ClientsPage Shard::look_up(const ClientsQuestion& asked, Instant /*now*/) {
    ClientsPage page;
    page.is_stale = !is_listing(asked.from);
    if (page.is_stale) return page;
    std::size_t bytes = 0;
    std::uint32_t slot = asked.from.slot;
    for (; slot < sessions_.slots() && page.looked_at < kInquirySlotsMax &&
           page.items.size() < asked.items_max && bytes < kInquiryBytesMax;
         ++slot) {
        ++page.looked_at;
        auto summary = summary_of(slot, asked);
        if (!summary) continue;
        bytes += summary->client_id.size() + summary->user.size();
        page.items.push_back(*std::move(summary));
    }
    page.next = {.listing = listing_, .slot = slot, .done = slot >= sessions_.slots()};
    work_ += page.looked_at;
    return page;
}

/// Nothing if there is none, or it is not asked for.
std::optional<ClientSummary> Shard::summary_of(std::uint32_t slot, const ClientsQuestion& asked) {
    if (const RestingSession* resting = sessions_.resting(slot)) {
        if (!fits(asked, resting->client_id(), resting->user(), false)) return std::nullopt;
        return summary_of(*resting);
    }
    SessionEntry* entry = sessions_.at(slot);
    if (entry == nullptr ||
        !fits(asked, entry->client_id, entry->identity.user, entry->attached != nullptr)) {
        return std::nullopt;
    }
    return summary_of(*entry);
}

ClientSummary Shard::summary_of(const RestingSession& resting) {
    return {.client_id = std::string{resting.client_id()},
            .user = std::string{resting.user()},
            .version = resting.version(),
            .durable = true,
            .since = resting.detached_at(),
            .subscriptions = resting.subscriptions()};
}

ClientSummary Shard::summary_of(SessionEntry& entry) {
    ClientSummary summary{.client_id = entry.client_id,
                          .user = entry.identity.user,
                          .version = entry.version,
                          .durable = entry.durable,
                          .since = entry.detached_at,
                          .subscriptions = entry.subscriptions.size()};
    if (entry.attached == nullptr) return summary;
    const PeerInfo& peer = *connection_of(entry).peer;
    summary.connected = true;
    summary.since = entry.attached->since;
    summary.address = peer.address;
    summary.listener = peer.listener;
    return summary;
}

ClientFound Shard::look_up(const ClientQuestion& asked, Instant /*now*/) {
    const auto slot = sessions_.slot_of(asked.client_id);
    if (!slot) return {};
    if (const RestingSession* resting = sessions_.resting(*slot)) {
        ClientDetails details{
            .summary = summary_of(*resting),
            .expiry_seconds = resting->expiry_seconds(),
            .log_positions_behind =
                applied_.value() - std::min(applied_, resting->position()).value(),
            .last_end = resting->last_end(),
            .expires_at = resting->expires_at()};
        resting->for_each_subscription(
            [&](const RestingSubscription& each) { count_subscription(details, each); });
        work_ += details.summary.subscriptions;
        return {std::move(details)};
    }
    work_ += sessions_.at(*slot)->subscriptions.size();
    return {details_of(*sessions_.at(*slot))};
}

ClientDetails Shard::details_of(SessionEntry& entry) {
    ClientDetails details{.summary = summary_of(entry),
                          .expiry_seconds = entry.expiry_seconds,
                          .last_end = entry.last_end};
    for (const Subscription& each : entry.subscriptions) count_subscription(details, each);
    if (entry.will) {
        const mqtt::Message& will = *entry.will->will.message;
        details.will = ClientDetails::Will{.topic = std::string{will.topic()},
                                           .qos = will.qos(),
                                           .retain = will.retain(),
                                           .payload_bytes = will.payload().size(),
                                           .delay_seconds = entry.will->will.delay_seconds};
    }
    Seq sent_through = entry.sent_through;
    if (entry.attached != nullptr) {
        const mqtt::Session& session = entry.attached->session;
        details.expiry_seconds = session.session_expiry_seconds();
        details.inflight_to_client = session.inflight_count();
        details.inflight_from_client = session.inbound_count();
        details.connected = connected_details(entry);
        sent_through = session.live() ? applied_ : session.sent_through();
    } else {
        details.expires_at = entry.expires_at();
    }
    if (entry.parts != nullptr) {
        details.inflight_to_client = entry.parts->inflight.size();
        details.inflight_from_client = entry.parts->inbound_qos2.size();
    }
    if (entry.durable) {
        details.log_positions_behind = applied_.value() - std::min(applied_, sent_through).value();
    }
    return details;
}

ClientDetails::Connected Shard::connected_details(SessionEntry& entry) {
    const mqtt::Session& session = entry.attached->session;
    const mqtt::ConnectRequest& request = session.request();
    const Connection& connection = connection_of(entry);
    return {.port = connection.peer->port,
            .certificate_name = connection.peer->certificate_name,
            .keep_alive_seconds = request.keep_alive_seconds,
            .clean_start = request.clean_start,
            .receive_maximum = request.receive_maximum,
            .packet_bytes_max = request.packet_bytes_max,
            .queued = session.queued_count(),
            .unsent_bytes = connection.out.size(),
            .live = session.live()};
}

SubscriptionsPage Shard::look_up(const SubscriptionsQuestion& asked, Instant /*now*/) {
    SubscriptionsPage page;
    ListPlace& at = page.next;
    at = asked.from;
    std::uint32_t end = static_cast<std::uint32_t>(sessions_.slots());
    if (asked.client_id) {
        const auto slot = sessions_.slot_of(*asked.client_id);
        page.is_found = slot.has_value();
        if (!slot) return page;
        at.slot = *slot;
        end = *slot + 1;
    } else {
        page.is_stale = !is_listing(asked.from);
        if (page.is_stale) return page;
    }
    at.listing = listing_;
    SubscriptionLister lister{asked, page};
    for (std::size_t slots = 0; at.slot < end && slots < kInquirySlotsMax; ++slots) {
        if (!list_subscriptions(at.slot, lister)) break;
        ++at.slot;
        at.next_text.clear();
        ++work_;
    }
    at.done = at.slot >= end;
    work_ += page.looked_at;
    return page;
}

/// False: the page is full in the middle of the session's.
template <class Lister>
bool Shard::list_subscriptions(std::uint32_t slot, Lister& lister) {
    if (const RestingSession* resting = sessions_.resting(slot)) {
        lister.begin_session(resting->client_id(), false);
        return resting->for_each_subscription_while(
            [&](const RestingSubscription& each) { return lister.take(each); });
    }
    const SessionEntry* entry = sessions_.at(slot);
    if (entry == nullptr) return true;
    lister.begin_session(entry->client_id, entry->attached != nullptr);
    return std::all_of(entry->subscriptions.begin(),
                       entry->subscriptions.end(),
                       [&](const Subscription& each) { return lister.take(each); });
}

RetainedFound Shard::look_up(RetainedQuestion& asked, Instant now) {
    RetainedFound found{.cursor = std::move(asked.cursor)};
    const RetainedStore& store = is_brokers(asked.filter) ? broker_values_ : retained_;
    constexpr RetainedPageLimits kDefault;
    const RetainedPageLimits limits{.values_max = std::min(asked.values_max, kInquiryValuesMax),
                                    .steps_max = kDefault.steps_max};
    store.match(asked.filter, Seq{UINT64_MAX}, now, limits, found.cursor, found.values);
    for (const RetainedValue& value : found.values) {
        const mqtt::Message& message = *value.message;
        found.wanted.push_back(
            !shared_.interest->look_up(message.topic(), message.topic_hash()).shards.empty());
    }
    work_ += limits.steps_max;
    return found;
}

RetainedValueFound Shard::look_up(const RetainedValueQuestion& asked, Instant now) {
    return {.exists = retained_.find(asked.topic, now) != nullptr};
}

/// Ends a connection, and with `discard_session` the session; whoever asked is told when what he
/// relies on is in the log.
void Shard::kick(Kick kick, Instant now) {
    Kicked kicked;
    const auto slot = sessions_.slot_of(kick.client_id);
    SessionEntry* entry = slot ? sessions_.at(*slot) : nullptr;
    kicked.has_session = slot.has_value();
    if (entry != nullptr && entry->attached != nullptr) {
        kicked.was_connected = true;
        close(connection_of(*entry),
              {.reason = kick.reason,
               .detail = "closed by an administrator",
               .send_disconnect = true},
              now);
    }
    if (kick.discard_session) {
        entry = sessions_.find(kick.client_id);
        if (entry != nullptr) discard_session(*entry, now);
        if (ending_.contains(kick.client_id)) {
            kicks_.push_back({std::move(kick.client_id), kicked, std::move(kick.asker)});
            return;
        }
    }
    kick.asker.tell(kicked);
}

/// The end of that client's session is in the log.
void Shard::answer_kicks(std::string_view client) {
    std::erase_if(kicks_, [&](WaitingKick& each) {
        if (each.client_id != client) return false;
        each.asker.tell(each.kicked);
        return true;
    });
}

}  // namespace stentor::server
