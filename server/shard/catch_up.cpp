// Sessions that are behind read the log after `sent_through` until they are level with the shard
// (rule 3); delivery states go into the log (rules 4 and 5); and the rounds that keep it short.
#include "base/assert.hpp"
#include "base/log.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <malloc.h>

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;

namespace {

constexpr Duration kHousekeepingInterval = std::chrono::seconds{1};
constexpr std::uint32_t kNeedScanSlots = 4096;  // at a time: a millisecond or so
constexpr Duration kNeedScanPause = std::chrono::milliseconds{20};  // before the next of them
constexpr std::uint64_t kLagMax = 65'536;  // positions a live session may be behind in the log
constexpr Duration kQuiet = std::chrono::seconds{2};  // then everybody's position is written
constexpr std::size_t kPageMessagesMin = 16;
constexpr std::size_t kPageMessagesMax = 128;
// More of a page is not kept while the window is full: it is read again when it is wanted.
constexpr std::size_t kHeldBytesMax = std::size_t{32} << 10U;
constexpr std::size_t kFewFilters = 16;       // a live session keeps no set of them
constexpr std::size_t kReadsOutMax = 64;      // pages asked of the engine and not yet here
constexpr std::uint64_t kNearlyLevel = 4096;  // positions: a session that only fell behind just now

[[nodiscard]] std::size_t held_bytes(const CatchUp& catch_up) noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = catch_up.page_done; i < catch_up.page.size(); ++i) {
        bytes += catch_up.page[i].message->bytes();
    }
    return bytes;
}

}  // namespace

void Shard::request_feed(SessionEntry& entry) {
    if (entry.attached == nullptr || entry.attached->queued_for_feed) return;
    entry.attached->queued_for_feed = true;
    feed_queue_.push_back({entry.slot, entry.generation});
}

void Shard::request_commit(SessionEntry& entry) {
    Attachment& attached = *entry.attached;
    if (attached.session.commit_need() == mqtt::CommitNeed::now) {
        if (attached.queued_for_commit) return;
        attached.queued_for_commit = true;
        commit_queue_.push_back({entry.slot, entry.generation});
    } else if (!attached.queued_for_lazy_commit) {
        attached.queued_for_lazy_commit = true;
        lazy_commits_.push_back({entry.slot, entry.generation});
    }
}

void Shard::feed(SessionEntry& entry, Instant now) {
    Attachment& attached = *entry.attached;
    attached.queued_for_feed = false;
    if (!attached.open || attached.restoring) return;
    const AttachmentRef who{entry.slot, entry.generation};
    with_session(entry, now, [&](auto& session, auto& fx) {
        session.pump(now, fx);
        fx.wants_more = false;  // that is what we are doing
    });
    SessionEntry* still = sessions_.attached(who.slot, who.generation);
    if (still == nullptr) return;
    if (!still->attached->shared_waiting.empty()) {
        feed_shared(*still, now);
        still = sessions_.attached(who.slot, who.generation);
        if (still == nullptr) return;
    }
    if (!still->attached->replays.empty()) {
        if (still->attached->replays_held != 0) return;
        feed_replay(*still, now);
        still = sessions_.attached(who.slot, who.generation);
        if (still == nullptr || !still->attached->replays.empty()) return;
    }
    if (still->durable && !still->attached->session.live()) feed_from_log(*still, now);
}

void Shard::feed_from_log(SessionEntry& entry, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    CatchUp& catch_up = entry.attached->catch_up;
    mqtt::Session& session = entry.attached->session;
    if (entry.attached->advancing) return;
    if (catch_up.page_valid) {
        if (!send_page(entry, now)) {  // gone, or the window is full
            if (sessions_.attached(who.slot, who.generation) == nullptr) return;
            catch_up.page_messages = std::max(catch_up.page_messages / 2, kPageMessagesMin);
            if (held_bytes(catch_up) <= kHeldBytesMax) return;
            catch_up.drop_page();
            return;
        }
        if (sessions_.attached(who.slot, who.generation) == nullptr) return;
        session.advance(catch_up.page_through);
        catch_up.drop_page();
        catch_up.page_messages = std::min(catch_up.page_messages * 2, kPageMessagesMax);
    }
    if (session.sent_through() >= applied_) {
        // Level: what commits from now on is offered live, and what has a position at or below
        // sent_through is ignored there.
        session.set_live(true);
        if (catch_up.filters && catch_up.filters->size() <= kFewFilters) {
            catch_up.drop_filters();  // quickly collected again
        }
        return;
    }
    if (catch_up.reading || !session.request_room()) return;
    if (catch_up.kept_until != kNoSeq && catch_up.kept_until <= session.sent_through()) {
        catch_up.drop_filters();
    }
    collect_filters(entry);
    if (catch_up.filters->empty()) {
        session.advance(applied_);
        session.set_live(true);
        return;
    }
    read_page(entry);
}

void Shard::collect_filters(SessionEntry& entry) {
    CatchUp& catch_up = entry.attached->catch_up;
    if (catch_up.filters) return;
    std::vector<std::string> asked;
    std::vector<std::string> granting;
    const Seq position = entry.attached->session.sent_through();
    catch_up.kept_until = kNoSeq;
    for (const Subscription& subscription : entry.subscriptions) {
        if (subscription.share_key != 0) continue;
        const bool is_asked = needed_for(subscription, position).has_value();
        (is_asked ? asked : granting).push_back(subscription.text);
        const Seq kept_until = subscription.kept.last();
        if (kept_until > position) catch_up.kept_until = std::max(catch_up.kept_until, kept_until);
    }
    if (!granting.empty()) {
        granting.insert(granting.end(), asked.begin(), asked.end());
        catch_up.granting = make_intrusive<store::FilterSet>(std::move(granting));
    }
    catch_up.filters = make_intrusive<store::FilterSet>(std::move(asked));
}

/// Whether the session's subscriptions want a logged message; QoS 0 was delivered live or not at
/// all, but for what waited when it replaced another. Fills `grant` (identifiers live until the
/// next call).
bool Shard::merge_grant(SessionEntry& entry,
                        const mqtt::Message& message,
                        Seq seq,
                        mqtt::Grant& grant) {
    bool keeps_retain = false;
    QoS qos = QoS::at_most_once;
    identifiers_.clear();
    collect_filters(entry);
    const CatchUp& catch_up = entry.attached->catch_up;
    const store::FilterSet& filters = catch_up.granting ? *catch_up.granting : *catch_up.filters;
    matching_filters_.clear();
    filters.matching(message.topic(), matching_filters_);
    for (const std::string_view text : matching_filters_) {
        const Subscription* found = entry.find(text);
        STENTOR_ASSERT(found != nullptr, "the sets are collected anew when a subscription changes");
        const Subscription& subscription = *found;
        const std::optional<QoS> granted = subscription.granted(seq);
        if (!granted) continue;
        if (subscription.options.no_local && message.publisher() == entry.client_id) continue;
        qos = std::max(qos, *granted);
        keeps_retain = keeps_retain || subscription.options.retain_as_published;
        if (subscription.identifier != 0) identifiers_.push_back(subscription.identifier);
    }
    grant.qos = std::min(qos, message.qos());
    grant.retain = keeps_retain && message.retain();
    grant.subscription_identifiers = identifiers_;
    if (grant.qos == QoS::at_most_once) return false;
    return may_read(entry, message.topic());
}

/// False if the session has gone or its window is full before the page is done.
bool Shard::send_page(SessionEntry& entry, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    Attachment& attached = *entry.attached;
    CatchUp& catch_up = attached.catch_up;
    while (catch_up.page_done < catch_up.page.size()) {
        ++fed_messages_;
        store::PageEntry& next = catch_up.page[catch_up.page_done];
        if (next.seq > attached.session.sent_through()) {
            mqtt::Grant grant;
            if (merge_grant(entry, *next.message, next.seq, grant)) {
                auto outcome = mqtt::Session::Logged::taken;
                with_session(entry, now, [&](auto& session, auto& fx) {
                    outcome = session.deliver_logged(next.seq, next.message, grant, now, fx);
                    fx.wants_more = false;
                });
                if (sessions_.attached(who.slot, who.generation) == nullptr) return false;
                if (outcome == mqtt::Session::Logged::window_full) return false;
                ++counters_.messages_matched;
            }
        }
        next.message.reset();
        ++catch_up.page_done;
    }
    return true;
}

void Shard::read_page(SessionEntry& entry) {
    CatchUp& catch_up = entry.attached->catch_up;
    store::ReadRequest request;
    request.shard = id_;
    request.cookie = next_cookie_++;
    request.after = entry.attached->session.sent_through();
    request.filters = catch_up.filters;
    request.messages_max = catch_up.page_messages;
    catch_up.reading = true;
    catch_up.cookie = request.cookie;
    readers_.emplace(request.cookie, AttachmentRef{entry.slot, entry.generation});
    const bool nearly_level = applied_.value() - request.after.value() <= kNearlyLevel;
    (nearly_level ? near_reads_ : reads_).push_back(std::move(request));
}

void Shard::read_missing(SessionEntry& entry) {
    store::ReadRequest request;
    request.shard = id_;
    request.cookie = next_cookie_++;
    request.only = entry.attached->restoring_seqs;
    std::sort(request.only.begin(), request.only.end());
    readers_.emplace(request.cookie, AttachmentRef{entry.slot, entry.generation});
    reads_.push_back(std::move(request));
}

void Shard::submit_reads() {
    while (may_submit_read()) {
        // In turn, so that a crowd that comes back from far does not keep waiting those who were
        // live a moment ago, nor they the crowd.
        const bool takes_near = !near_reads_.empty() && (near_has_turn_ || reads_.empty());
        auto& queue = takes_near ? near_reads_ : reads_;
        if (shared_.engine->read(queue.front()) == store::Push::full) return;
        queue.pop_front();
        near_has_turn_ = !takes_near;
    }
    if (may_submit_count() && shared_.engine->read(count_reads_.front()) != store::Push::full) {
        count_reads_.pop_front();
        counts_page_ = true;
    }
}

/// Sessions take turns: each has one page on its way, and asks again behind all others.
bool Shard::may_submit_read() const noexcept {
    const std::size_t waiting = reads_.size() + near_reads_.size();
    const std::size_t asked = readers_.size() + backlog_reads_.size() - count_reads_.size();
    return waiting != 0 && asked - waiting < kReadsOutMax;
}

/// Counting backlogs waits behind whoever catches up: one page on its way, of all of them.
bool Shard::may_submit_count() const noexcept { return !count_reads_.empty() && !counts_page_; }

void Shard::page_read(store::Page page, Instant now) {
    ++counters_.pages_read;
    if (backlog_page(page, now)) return;
    const auto reader = readers_.find(page.cookie);
    if (reader == readers_.end()) return;
    const AttachmentRef who = reader->second;
    readers_.erase(reader);
    SessionEntry* entry = sessions_.attached(who.slot, who.generation);
    if (entry == nullptr) return;
    if (!page.result) {
        // Clients that are sent away come back.
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(error,
                        LogEvent("read_failed",
                                 {{"client", entry->client_id}, {"suppressed", pass.suppressed}}),
                        "the log could not be read: {}",
                        page.result.error().message());
        }
        close(connection_of(*entry),
              {.reason = mqtt::ReasonCode::server_busy,
               .detail = "the log could not be read",
               .send_disconnect = true},
              now);
        return;
    }
    if (entry->attached->restoring) {
        restored(*entry, page, now);
        return;
    }
    CatchUp& catch_up = entry->attached->catch_up;
    if (!catch_up.reading || catch_up.cookie != page.cookie) return;  // asked with other filters
    catch_up.reading = false;
    if (page.lost_messages != 0) return pass_missing(*entry, page, now);
    catch_up.page = std::move(page.entries);
    catch_up.page_done = 0;
    catch_up.page_through = page.complete_through;
    catch_up.page_valid = true;
    request_feed(*entry);
}

/// The log does not keep an unfinished delivery's subscription identifiers: they follow from the
/// subscriptions as they are now. If none wants the message for its position, it was a retained
/// one or a share. Fills identifiers_.
void Shard::collect_identifiers(SessionEntry& entry, const mqtt::Message& message, Seq seq) {
    mqtt::Grant grant;
    if (merge_grant(entry, message, seq, grant)) return;
    identifiers_.clear();
    for (const Subscription& subscription : entry.subscriptions) {
        const auto filter = mqtt::parse_subscription_filter(subscription.text).filter;
        if (subscription.identifier == 0 || !mqtt::matches(filter, message.topic())) continue;
        identifiers_.push_back(subscription.identifier);
    }
}

/// Messages of unfinished deliveries, read back for a client that has come back.
void Shard::restored(SessionEntry& entry, store::Page& page, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    if (page.lost_messages != 0) {
        will_tell(entry, page.lost_messages, mqtt::DropReason::segment_missing);
    }
    std::vector<Seq>& missing = entry.attached->restoring_seqs;
    std::sort(missing.begin(), missing.end());
    std::size_t found = 0;
    std::size_t done = 0;
    std::uint64_t lost = page.lost_messages;
    for (; done < missing.size() && missing[done] <= page.complete_through; ++done) {
        MessagePtr message;
        while (found < page.entries.size() && page.entries[found].seq < missing[done]) ++found;
        if (found < page.entries.size() && page.entries[found].seq == missing[done]) {
            message = page.entries[found].message;
        }
        const Seq seq = missing[done];
        const bool is_lost = message == nullptr && lost != 0;
        if (is_lost) --lost;
        const auto why_not =
            is_lost ? mqtt::DropReason::segment_missing : mqtt::DropReason::no_longer_stored;
        const auto identifiers_anew = [&, message]() -> std::span<const std::uint32_t> {
            collect_identifiers(entry, *message, seq);
            return identifiers_;
        };
        with_session(entry, now, [&](auto& session, auto& fx) {
            session.restore_message(seq, message, identifiers_anew, fx, why_not);
        });
        if (sessions_.attached(who.slot, who.generation) == nullptr) return;
    }
    missing.erase(missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(done));
    if (missing.empty()) {
        resume(entry, now);
    } else {
        read_missing(entry);
    }
}

/// Delivery states that something waits for, at the end of the step: one record per session, and
/// one at a time. Were a change committed whose predecessor was not, the log would say that
/// messages have been sent which it does not list. The next one follows when apply_effects() looks
/// again.
void Shard::commit_deliveries(Instant now) {
    for (const AttachmentRef& who : commit_queue_) {
        SessionEntry* entry = sessions_.attached(who.slot, who.generation);
        if (entry == nullptr) continue;
        entry->attached->queued_for_commit = false;
        if (entry->attached->deliveries_on_their_way == 0) commit_delivery(*entry, now);
    }
    commit_queue_.clear();
    if (now < next_lazy_commit_ || lazy_commits_.empty()) return;
    next_lazy_commit_ = saturating_add(now, options_.lazy_commit_interval);
    std::vector<AttachmentRef> lazy;
    lazy.swap(lazy_commits_);
    for (const AttachmentRef& who : lazy) {
        SessionEntry* entry = sessions_.attached(who.slot, who.generation);
        if (entry == nullptr) continue;
        entry->attached->queued_for_lazy_commit = false;
        if (entry->attached->session.commit_need() != mqtt::CommitNeed::none &&
            entry->attached->deliveries_on_their_way == 0) {
            commit_delivery(*entry, now);
        }
    }
}

/// What has changed, or, where earlier changes are still on their way, all there is.
void Shard::commit_delivery(SessionEntry& entry, Instant now) {
    (void)now;
    Attachment& attached = *entry.attached;
    if (attached.session.live()) attached.session.advance(applied_);
    const mqtt::DeliveryChange change = attached.deliveries_on_their_way == 0
                                            ? attached.session.take_delivery_change()
                                            : attached.session.take_whole_state();
    ++attached.deliveries_on_their_way;
    store::DeliveryState state;
    state.client = entry.client_id;
    state.sent_through = change.sent_through;
    state.whole = change.whole;
    state.done = change.done;
    state.loss = loss_to_store(entry);
    state.changed.reserve(change.changed.size());
    for (const auto& item : change.changed) {
        // Unlogged: see unfinished_of() in on_connect.cpp.
        if (item.seq == kNoSeq && item.qos != QoS::exactly_once) continue;
        state.changed.push_back({.seq = item.seq,
                                 .packet_id = item.packet_id,
                                 .qos = item.qos,
                                 .phase = static_cast<store::DeliveryPhase>(item.phase),
                                 .retain = item.retain});
    }
    const ConfirmDelivery confirm{{entry.slot, entry.generation}, change.sent_through};
    if (!attached.replays.empty() && attached.replays.front().progressed) {
        RetainedReplay& replay = attached.replays.front();
        replay.progressed = false;
        store::RetainedReplay record;
        record.client = std::exchange(state.client, {});
        record.filter = replay.text;
        record.until = replay.until;
        record.next_topic = replay.next_topic;
        record.delivery = std::move(state);
        tells_of_replay(entry, replay.text);
        commits_.add(std::move(record), confirm);
        return;
    }
    commits_.add(std::move(state), confirm);
}

/// Every second: what QoS 1 has done, expired retained values, and how much of the log is needed.
void Shard::housekeeping(std::uint32_t which, Instant now) {
    if (which == kRetryRound) {
        retry_put_off(kDetachedPerRound, now);
        return;
    }
    sweep_retained(now);
    sweep_timers();
    go_on_with_first_counts(now);
    scan_needs(now);
    const bool goes_on = need_scan_.running || !backlog_reads_.empty() ||
                         need_scan_.first_put_off != NeedScan::kNobody;
    const Duration pause = goes_on ? kNeedScanPause : kHousekeepingInterval;
    timers_.set(saturating_add(now, pause), TimerKind::housekeeping, which, 0);
}

template <class AnySubscription>
void Shard::survey_filter(const AnySubscription& subscription, Seq position) {
    if (const std::optional<Seq> needed = needed_for(subscription, position)) {
        need_scan_.survey->add(subscription.text, *needed);
    }
}

/// A slice of the look at all sessions: which position each still needs, and whose progress is to
/// be committed because the log waits for it.
void Shard::scan_needs(Instant now) {
    if (!need_scan_.running) {
        see_who_gives_way();
        need_scan_ = {
            .next_slot = 0, .started_at = applied_, .lowest = next(applied_), .running = true};
        if (shared_.engine->wants_survey(id_)) need_scan_.survey.emplace(applied_);
    }
    const bool quiet = saturating_add(last_durable_at_, kQuiet) <= now;
    for (std::uint32_t scanned = 0; scanned < kNeedScanSlots; ++scanned) {
        if (need_scan_.next_slot >= sessions_.slots()) {
            finish_need_scan();
            break;
        }
        const std::uint32_t slot = need_scan_.next_slot++;
        if (sessions_.resting(slot) != nullptr) {
            scan_resting(slot);
        } else if (SessionEntry* entry = sessions_.at(slot); entry != nullptr && entry->durable) {
            scan_awake(*entry, quiet, now);
        }
    }
}

void Shard::scan_awake(SessionEntry& entry, bool quiet, Instant now) {
    for (Subscription& subscription : entry.subscriptions) {
        subscription.kept.forget_through(entry.committed_through);
    }
    if (const std::optional<Seq> needed = needed_position(entry)) {
        need_scan_.lowest = std::min(need_scan_.lowest, *needed);
        if (need_scan_.survey) survey_needs(entry);
        consider_backlog(entry, *needed);
        commit_if_it_lags(entry, *needed, quiet, now);
    }
    lay_to_rest(entry);
}

/// If it can: then the entry is gone afterwards.
void Shard::lay_to_rest(SessionEntry& entry) {
    if (!RestingSession::can_rest(entry)) return;
    sessions_.rest(entry);
    ++laid_to_rest_;
}

/// The same as scan_awake() for one that rests, and stays so unless its backlog has to be counted:
/// then it is awake until that is done.
void Shard::scan_resting(std::uint32_t slot) {
    const RestingSession& resting = *sessions_.resting(slot);
    std::optional<Seq> needed;
    resting.for_each_subscription([&](const RestingSubscription& subscription) {
        const std::optional<Seq> here = needed_for(subscription, resting.position());
        if (here) needed = needed ? std::min(*needed, *here) : *here;
        if (need_scan_.survey) survey_filter(subscription, resting.position());
    });
    if (!needed) return;
    need_scan_.lowest = std::min(need_scan_.lowest, *needed);
    if (backlog_is_due(slot, *needed, resting.backlog_count_at()) && take_backlog_turn(slot)) {
        SessionEntry& entry = sessions_.wake(slot);
        count_backlog(entry, entry.sent_through);
    }
}

/// The log waits for what the session has done.
void Shard::commit_if_it_lags(SessionEntry& entry, Seq needed, bool quiet, Instant now) {
    if (entry.attached == nullptr || !entry.attached->open || needed > last_durable_) return;
    const bool lags = applied_.value() - entry.committed_through.value() > kLagMax ||
                      needed < give_way_.highest();
    if ((lags || quiet) && entry.attached->deliveries_on_their_way == 0 &&
        entry.attached->session.sent_through() >= entry.committed_through) {
        commit_delivery(entry, now);
    }
}

void Shard::finish_need_scan() {
    if (const auto waiting = shared_needs()) {
        need_scan_.lowest = std::min(need_scan_.lowest, *waiting);
    }
    shared_.engine->needed_from(id_, need_scan_.lowest);
    need_scan_.running = false;
    give_memory_back();
    if (!need_scan_.survey) return;
    for (std::uint32_t slot = 0; slot < groups_.slots(); ++slot) {
        const SharedGroups::Group* group = groups_.at(slot);
        if (group == nullptr) continue;
        if (const auto lowest = group->lowest()) need_scan_.survey->add(group->filter, *lowest);
    }
    shared_.engine->survey(id_, *std::move(need_scan_.survey));
    need_scan_.survey.reset();
}

/// What a crowd took while it was connected, once it has gone: glibc would keep it. Takes
/// milliseconds, in which nobody allocates.
void Shard::give_memory_back() {
    constexpr std::uint32_t kCrowd = 4096;
    const bool more_have_left =
        std::exchange(laid_to_rest_at_round_, laid_to_rest_) != laid_to_rest_;
    if (more_have_left || laid_to_rest_ < kCrowd) return;
    laid_to_rest_ = laid_to_rest_at_round_ = 0;
    (void)::malloc_trim(0);
}

/// What needed_position() says of the whole session, for each of its filters.
void Shard::survey_needs(const SessionEntry& entry) {
    for (const Subscription& subscription : entry.subscriptions) {
        survey_filter(subscription, entry.committed_through);
    }
    if (const auto unlisted = lowest_unlisted(entry)) {
        need_scan_.survey->add_everything(*unlisted);
    }
    if (entry.attached == nullptr) return;
    for (const SharedDeliver& waiting : entry.attached->shared_waiting) {
        if (waiting.seq != kNoSeq) need_scan_.survey->add(waiting.message->topic(), waiting.seq);
    }
}

/// The lowest position the session needs by what is committed; nothing if it wants nothing logged.
std::optional<Seq> Shard::needed_position(const SessionEntry& entry) {
    std::optional<Seq> needed = needed_by_filters(entry);
    const auto also = [&](Seq seq) { needed = needed ? std::min(*needed, seq) : seq; };
    // Shares and retained values are outside the position until a commit lists them, and so is what
    // came by a subscription that has gone.
    if (const auto unlisted = lowest_unlisted(entry)) also(*unlisted);
    if (entry.attached == nullptr) return needed;
    for (const SharedDeliver& waiting : entry.attached->shared_waiting) {
        if (waiting.seq != kNoSeq) also(waiting.seq);
    }
    return needed;
}

/// The lowest position in flight that no commit is known to list.
std::optional<Seq> Shard::lowest_unlisted(const SessionEntry& entry) {
    const bool detach_unsure = entry.detaches_on_their_way != 0 || entry.state_unsure;
    if (entry.attached != nullptr) return entry.attached->session.lowest_unlisted(detach_unsure);
    std::optional<Seq> lowest;
    if (!detach_unsure || entry.parts == nullptr) return lowest;
    for (const mqtt::InflightMessage& item : entry.parts->inflight) {
        if (item.seq == kNoSeq) continue;
        lowest = lowest ? std::min(*lowest, item.seq) : item.seq;
    }
    return lowest;
}

std::optional<Seq> Shard::needed_by_filters(const SessionEntry& entry) {
    std::optional<Seq> needed;
    for (const Subscription& subscription : entry.subscriptions) {
        const std::optional<Seq> here = needed_for(subscription, entry.committed_through);
        if (here) needed = needed ? std::min(*needed, *here) : *here;
    }
    return needed;
}

}  // namespace stentor::server
