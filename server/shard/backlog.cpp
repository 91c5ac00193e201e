// Bounds on what waits for a session that is away or slow: by messages and bytes of its own, and by
// age and size of the log, where the session with the oldest need gives way instead of everybody's
// log being cut (design: garbage and bounds). What waits is not counted as it comes, that would
// cost every publish; it is read from the log when the distance alone says that a bound may be
// reached. What is unfinished stays: it is not behind the position any more.
#include "base/log.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace stentor::server {

namespace {

constexpr Duration kRestAfterFailure = std::chrono::seconds{5};
constexpr std::size_t kReadsMax = 16;  // sessions at a time
// Where the store has no room nobody can publish before they are counted.
constexpr std::size_t kLongPageMessages = 1024;
constexpr std::size_t kLongPageBytes = std::size_t{1} << 20U;
// Otherwise catch-up of all shards comes first: one page at a time, and short.
constexpr std::size_t kPageMessages = 64;
constexpr std::size_t kPageBytes = std::size_t{64} * 1024;
// After a start all sessions are counted within this time, few of them in a part of it.
constexpr Duration kFirstCountsTime = std::chrono::minutes{5};
constexpr Duration kLoadTime = kFirstCountsTime / static_cast<std::int64_t>(kBacklogSlack);
constexpr std::uint64_t kFirstCountsMin = 150'000;

LogEvery& advanced_lines() {
    static LogEvery every{5, std::chrono::seconds{10}};
    return every;
}

/// The configuration key that the operator would change; none where it was no bound.
std::string_view bound_of(mqtt::DropReason reason) {
    if (reason == mqtt::DropReason::segment_missing) return "none";
    if (reason == mqtt::DropReason::too_old) return "store.max_age";
    if (reason == mqtt::DropReason::log_full) return "store.max_bytes";
    return "limits.session_backlog_messages_max or _bytes_max";
}

store::LossReason stored_reason(mqtt::DropReason reason) {
    switch (reason) {
        case mqtt::DropReason::too_old:
            return store::LossReason::too_old;
        case mqtt::DropReason::log_full:
            return store::LossReason::log_full;
        case mqtt::DropReason::segment_missing:
            return store::LossReason::segment_missing;
        default:
            return store::LossReason::backlog_full;
    }
}

mqtt::DropReason drop_reason(store::LossReason reason) {
    switch (reason) {
        case store::LossReason::too_old:
            return mqtt::DropReason::too_old;
        case store::LossReason::log_full:
            return mqtt::DropReason::log_full;
        case store::LossReason::segment_missing:
            return mqtt::DropReason::segment_missing;
        case store::LossReason::backlog_full:
            break;
    }
    return mqtt::DropReason::backlog_full;
}

Seq position_of(const SessionEntry& entry) {
    return entry.attached != nullptr ? entry.attached->session.sent_through() : entry.sent_through;
}

}  // namespace

/// Whose oldest message is below this is to give way, as far as is known.
Seq Shard::gives_way_below(std::uint32_t slot) const {
    const Seq everybody = std::max(give_way_.too_old_below, give_way_.everybody_below);
    if (give_way_.large_below <= everybody) return everybody;
    const auto spared = backlog_spared_.find(slot);
    const bool is_spared =
        spared != backlog_spared_.end() && spared->second >= give_way_.large_below;
    return is_spared ? everybody : give_way_.large_below;
}

/// When a round begins.
void Shard::see_who_gives_way() {
    give_way_ = shared_.engine->give_way();
    if (give_way_.large_below == kNoSeq) backlog_spared_.clear();
    backlog_turn_ = need_scan_.first_put_off == NeedScan::kNobody ? 0 : need_scan_.first_put_off;
}

/// Whether a session might have to lose something whose oldest waiting message is at `oldest`.
bool Shard::backlog_is_due(std::uint32_t slot, Seq oldest, BacklogLoad count_at) const {
    return oldest < gives_way_below(slot) || (backlog_load_ >= count_at && oldest <= applied_);
}

/// How much waited when the broker stopped is not stored. Each session is counted anew, not all of
/// them at once: one after the other as the load goes up, which it does by itself until everybody's
/// turn has come. Who is first is different at each start, in case that is never so.
BacklogLoad Shard::first_count_at(std::size_t place, std::size_t sessions) const {
    const std::uint64_t places = std::max(std::uint64_t{sessions}, kFirstCountsMin);
    return kBacklogSlack * ((place + applied_.value()) % sessions) / places;
}

void Shard::go_on_with_first_counts(Instant now) {
    if (first_counts_left_ == 0) return;
    const Duration passed = std::min(now - first_counts_at_, kFirstCountsTime);
    const auto load = static_cast<BacklogLoad>(passed / kLoadTime);
    if (load == 0) return;
    first_counts_at_ = now;
    first_counts_left_ -= std::min(first_counts_left_, load);
    backlog_load_ += load;
}

/// False: not now. The next round begins with who did not get his turn in this one.
bool Shard::take_backlog_turn(std::uint32_t slot) {
    if (slot < backlog_turn_ || stepped_at_ < backlog_rests_until_) return false;
    if (backlog_reads_.size() < kReadsMax) return true;
    if (need_scan_.first_put_off == NeedScan::kNobody) need_scan_.first_put_off = slot;
    return false;
}

/// A session in the round of scan_needs(): `needed` is the oldest position that waits for it by
/// what is committed. A live session has all there is.
void Shard::consider_backlog(SessionEntry& entry, Seq needed) {
    if (entry.backlog_checking) return;
    if (entry.attached != nullptr &&
        (!entry.attached->open || entry.attached->session.live() || entry.attached->restoring)) {
        return;
    }
    const Seq position = position_of(entry);
    const Seq oldest = std::max(needed, next(position));
    if (!backlog_is_due(entry.slot, oldest, entry.backlog_count_at)) return;
    if (take_backlog_turn(entry.slot)) count_backlog(entry, position);
}

void Shard::count_backlog(SessionEntry& entry, Seq position) {
    const bool counts_all = backlog_load_ >= entry.backlog_count_at;
    BacklogRead read{.who = {entry.slot, entry.generation},
                     .filters = wanted_filters(entry, position),
                     .after = position,
                     .until = counts_all ? applied_ : std::min(applied_, give_way_.highest()),
                     .counts_all = counts_all,
                     .frees_log = next(position) < gives_way_below(entry.slot),
                     .load = backlog_load_,
                     .lost = {},
                     .check = BacklogCheck{options_.backlog, give_way_}};
    if (read.filters->empty()) {  // shares only, which wait elsewhere
        conclude_backlog(entry, read, stepped_at_);
        return;
    }
    entry.backlog_checking = true;
    read_backlog(std::move(read));
}

void Shard::read_backlog(BacklogRead read) {
    store::ReadRequest request;
    request.shard = id_;
    request.cookie = next_cookie_++;
    request.after = read.after;
    request.filters = read.filters;
    request.messages_max = read.frees_log ? kLongPageMessages : kPageMessages;
    request.bytes_max = read.frees_log ? kLongPageBytes : kPageBytes;
    auto& queue = read.frees_log ? reads_ : count_reads_;
    backlog_reads_.emplace(request.cookie, std::move(read));
    queue.push_back(std::move(request));
}

/// Whether the page was asked for here.
bool Shard::backlog_page(store::Page& page, Instant now) {
    const auto at = backlog_reads_.find(page.cookie);
    if (at == backlog_reads_.end()) return false;
    BacklogRead read = std::move(at->second);
    backlog_reads_.erase(at);
    if (!read.frees_log) counts_page_ = false;
    SessionEntry* entry = sessions_.same(read.who.slot, read.who.generation);
    if (entry == nullptr) return true;
    entry->backlog_checking = false;
    // Attached anew since: another round will come.
    if (entry->generation != read.who.generation) return true;
    if (!page.result) {
        if (page.result.error() == store::make_error_code(store::StoreErrc::damaged)) {
            // It would be as damaged in the next round. What lies behind counts as read: where the
            // log's bounds ask for it the session goes past it.
            read.after = read.until;
            read.met_damage = true;
            conclude_backlog(*entry, read, now);
            lay_to_rest(*entry);
        } else {
            backlog_rests_until_ = saturating_add(now, kRestAfterFailure);
        }
        return true;
    }
    for (const store::PageEntry& each : page.entries) {
        if (each.seq > read.until) break;
        if (!waits_for(*entry, *read.filters, each)) continue;
        if (each.message->expired(now)) continue;  // lost to nobody
        read.check.add(each.seq, each.message->bytes());
    }
    if (page.lost_messages != 0) {
        read.lost.push_back({.through = page.complete_through, .messages = page.lost_messages});
    }
    const bool advances = page.complete_through > read.after;
    read.after = page.complete_through;
    if (advances && read.after < read.until && !read.check.is_due()) {
        entry->backlog_checking = true;
        read_backlog(std::move(read));
    } else {
        conclude_backlog(*entry, read, now);
        lay_to_rest(*entry);
    }
    return true;
}

/// What merge_grant() would say, whether the session is attached or not.
bool Shard::waits_for(SessionEntry& entry,
                      const store::FilterSet& filters,
                      const store::PageEntry& logged) {
    const mqtt::Message& message = *logged.message;
    matching_filters_.clear();
    filters.matching(message.topic(), matching_filters_);
    const bool is_wanted =
        std::any_of(matching_filters_.begin(), matching_filters_.end(), [&](std::string_view text) {
            const Subscription* subscription = entry.find(text);  // null: unsubscribed meanwhile
            return subscription != nullptr &&
                   subscription->granted(logged.seq).value_or(mqtt::QoS::at_most_once) !=
                       mqtt::QoS::at_most_once &&
                   !(subscription->options.no_local && message.publisher() == entry.client_id);
        });
    return is_wanted && may_read(entry, message.topic());
}

void Shard::conclude_backlog(SessionEntry& entry, const BacklogRead& read, Instant now) {
    const Seq read_through = read.filters->empty() ? read.until : std::min(read.after, read.until);
    BacklogCheck::Outcome outcome = read.check.conclude(position_of(entry), read_through);
    if (read.met_damage && outcome.through != kNoSeq && outcome.lost == 0) {
        outcome.lost = 1;  // at least
        outcome.reason = mqtt::DropReason::log_full;
    }
    for (const BacklogRead::Lost& lost : read.lost) {
        if (lost.through <= position_of(entry) || lost.through > outcome.through) continue;
        outcome.lost += lost.messages;
        outcome.reason = mqtt::DropReason::segment_missing;
    }
    if (read.counts_all) entry.backlog_count_at = read.load + outcome.room;
    if (outcome.spared) backlog_spared_.insert_or_assign(entry.slot, read.check.large_below());
    if (outcome.through == kNoSeq) return;
    if (outcome.lost != 0) count_loss(entry, outcome, now);
    if (entry.attached != nullptr) return advance_attached(entry, outcome.through, now);
    entry.sent_through = outcome.through;
    ++entry.detaches_on_their_way;
    commits_.add(whole_state(entry),
                 ConfirmDetach{entry.slot, entry.generation, entry.sent_through});
}

/// A page that is here or on its way begins before the new position: that part is passed over. What
/// follows waits for the commit. After a crash before it the session would get the lost messages
/// after all, behind those that had come later.
void Shard::advance_attached(SessionEntry& entry, Seq through, Instant now) {
    entry.attached->session.advance(through);
    entry.attached->advancing = true;
    commit_delivery(entry, now);
}

/// What the session comes to has gone with a file of the log. It goes on behind it at once: nothing
/// that it waits for will bring it back.
void Shard::pass_missing(SessionEntry& entry, const store::Page& page, Instant now) {
    if (page.complete_through <= entry.attached->session.sent_through()) {
        return request_feed(entry);
    }
    BacklogCheck::Outcome outcome;
    outcome.through = page.complete_through;
    outcome.lost = page.lost_messages;
    outcome.reason = mqtt::DropReason::segment_missing;
    count_loss(entry, outcome, now);
    advance_attached(entry, page.complete_through, now);
}

void Shard::will_tell(SessionEntry& entry, std::uint64_t messages, mqtt::DropReason reason) {
    if (entry.loss == nullptr) entry.loss = std::make_unique<BacklogLoss>();
    entry.loss->messages += messages;
    entry.loss->reason = reason;
}

void Shard::count_loss(SessionEntry& entry, const BacklogCheck::Outcome& outcome, Instant now) {
    will_tell(entry, outcome.lost, outcome.reason);
    ++counters_.sessions_advanced;
    counters_.dropped(outcome.reason, outcome.lost);
    const auto pass = advanced_lines().admit(now);
    if (!pass) return;
    STENTOR_LOG(warn,
                LogEvent("session_advanced",
                         {{"client", entry.client_id},
                          {"messages", outcome.lost},
                          {"reason", name(outcome.reason)},
                          {"bound", bound_of(outcome.reason)},
                          {"suppressed", pass.suppressed}}),
                "the oldest messages that waited for a session are lost{}",
                outcome.reason == mqtt::DropReason::segment_missing
                    ? ": the file of the log that they were in is gone (at least so many)"
                    : " to a bound");
}

/// As the log has it.
void Shard::recover_loss(SessionEntry& entry, const store::SessionLoss& stored) {
    if (stored.messages == 0) return;
    will_tell(entry, stored.messages, drop_reason(stored.reason));
    entry.loss_stored = true;
}

/// For whatever is written of its deliveries; nothing where the log knows of none. That it has been
/// told is written again and again until the session rests: a few bytes, for few sessions.
std::optional<store::SessionLoss> Shard::loss_to_store(SessionEntry& entry) {
    if (entry.loss != nullptr) {
        entry.loss_stored = true;
        return store::SessionLoss{.messages = entry.loss->messages,
                                  .reason = stored_reason(entry.loss->reason)};
    }
    if (!entry.loss_stored) return std::nullopt;
    return store::SessionLoss{};
}

/// CONNACK. After a crash before the log knows what it has told, the next one tells it again.
void Shard::send_connack(SessionEntry& entry) {
    tell_loss(entry);
    Attachment& attached = *entry.attached;
    if (entry.loss != nullptr || !entry.loss_stored || attached.queued_for_commit) return;
    attached.queued_for_commit = true;
    commit_queue_.push_back({entry.slot, entry.generation});
}

/// With what the session has lost since the last CONNACK that could say so. 3.1.1 has no way to say
/// it there: the log line has to do.
void Shard::tell_loss(SessionEntry& entry) {
    const Attachment& attached = *entry.attached;
    mqtt::Session& session = entry.attached->session;
    std::unique_ptr<BacklogLoss> loss = std::move(entry.loss);
    if (loss == nullptr || !attached.session_present) {
        (void)session.send_connack(attached.session_present, {}, fx_);
        return;
    }
    const std::string count = std::to_string(loss->messages);
    std::array<mqtt::UserProperty, 2> properties;
    properties[0].name = "stentor-lost-messages";
    properties[0].value = count;
    properties[1].name = "stentor-lost-reason";
    properties[1].value = name(loss->reason);
    const auto told = session.send_connack(attached.session_present, properties, fx_);
    const bool may_be_told = session.request().version == mqtt::ProtocolVersion::v5;
    if (told == mqtt::Session::UserProperties::left_out && may_be_told) {
        entry.loss = std::move(loss);  // too large for the client: the next one is, perhaps, not
    }
}

store::FilterSetPtr Shard::wanted_filters(const SessionEntry& entry, Seq position) {
    std::vector<std::string> filters;
    for (const Subscription& subscription : entry.subscriptions) {
        if (needed_for(subscription, position)) filters.push_back(subscription.text);
    }
    return make_intrusive<store::FilterSet>(std::move(filters));
}

}  // namespace stentor::server
