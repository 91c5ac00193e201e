#include "server/app/gate.hpp"

#include "auth/exchange.hpp"
#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/random.hpp"
#include "server/shard/transport_port.hpp"

#include <algorithm>
#include <utility>

namespace stentor::app {

namespace {

mqtt::ReasonCode reason_of(auth::Outcome outcome) {
    switch (outcome) {
        case auth::Outcome::accepted:
        case auth::Outcome::challenged:
            return mqtt::ReasonCode::success;
        case auth::Outcome::bad_credentials:
            return mqtt::ReasonCode::bad_user_name_or_password;
        case auth::Outcome::not_authorised:
            return mqtt::ReasonCode::not_authorized;
        case auth::Outcome::unavailable:
        case auth::Outcome::overloaded:
            return mqtt::ReasonCode::server_unavailable;
        case auth::Outcome::throttled:
            return mqtt::ReasonCode::connection_rate_exceeded;
    }
    return mqtt::ReasonCode::not_authorized;
}

auth::Locality locality_of(const server::PeerInfo& peer) {
    return peer.loopback_listener ? auth::Locality::loopback : auth::Locality::remote;
}

auth::Principal principal_of(const server::Identity& identity) {
    return {.authenticator = {},
            .name = identity.user,
            .is_admin = identity.admin,
            .voucher = identity.voucher};
}

server::Admission admission_of(auth::Decision decision, std::uint32_t edition) {
    server::Admission admission;
    admission.accepted = decision.outcome == auth::Outcome::accepted;
    admission.goes_on = decision.outcome == auth::Outcome::challenged;
    admission.data = std::move(decision.data);
    admission.reason = reason_of(decision.outcome);
    admission.silent = decision.outcome == auth::Outcome::overloaded;
    auth::Principal& principal = decision.principal;
    admission.identity = {.user = std::move(principal.name),
                          .admin = principal.is_admin,
                          .grants = std::move(principal.terms.grants),
                          .roles = std::move(principal.terms.roles),
                          .edition = edition,
                          .voucher = principal.voucher};
    admission.valid_for = principal.terms.valid_for;
    admission.why = decision.why;
    return admission;
}

server::Admission refused(mqtt::ReasonCode reason, const char* why) {
    server::Admission refused;
    refused.reason = reason;
    refused.why = why;
    return refused;
}

server::Admission closed_door() {
    return refused(mqtt::ReasonCode::server_unavailable, "the store is not open at the moment");
}

server::Admission banned(const char* why) { return refused(mqtt::ReasonCode::banned, why); }

/// The same whether the user exists or not.
constexpr const char* kThrottled =
    "too many failed attempts from this address, or for this user "
    "(auth.failures_per_address_max, auth.failures_per_user_max)";

server::Admission throttled() {
    return refused(mqtt::ReasonCode::connection_rate_exceeded, kThrottled);
}

/// Whom failures are counted for; nobody in particular if many share the address.
std::string_view counted_address(const server::PeerInfo& peer) noexcept {
    return peer.is_proxy ? std::string_view{} : peer.address;
}

/// Where the address says nothing, the name does.
std::uint64_t lane_of(const auth::Throttle::Attempt& attempt) noexcept {
    return attempt.address != 0 ? attempt.address : attempt.user;
}

std::uint64_t new_acl_version() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

}  // namespace

/// An answer that comes while the question is being asked, on the same thread: the usual case
/// (anonymous), which then needs no way through the mailbox.
struct Gate::InlineAnswer {
    static thread_local InlineAnswer* current;
    auth::Ticket ticket = 0;
    std::optional<auth::Decision> decision;
    bool has_begun = false;
};
thread_local Gate::InlineAnswer* Gate::InlineAnswer::current = nullptr;

/// An exchange keeps the chain that it began with, past reloads.
class Gate::Talk final : public server::AuthExchange {
  public:
    Talk(Gate& gate,
         std::shared_ptr<const auth::Chain> chain,
         std::uint32_t edition,
         std::string address,
         std::string client_id,
         std::unique_ptr<auth::Exchange> exchange)
        : gate_{&gate},
          chain_{std::move(chain)},
          edition_{edition},
          address_{std::move(address)},
          client_id_{std::move(client_id)},
          exchange_{std::move(exchange)} {}

    std::optional<server::Admission> next(ByteView data,
                                          ShardId shard,
                                          ConnectionId connection) override {
        if (gate_->door_.load() == Door::closed) return closed_door();
        if (gate_->bans_address(address_)) return banned("its address is banned");
        // The method knows the user before it looks at a proof.
        const auto attempt = gate_->throttle_.attempt(address_, exchange_->user());
        if (gate_->throttle_.refuses(attempt, monotonic_now())) return gate_->shown_out();
        return gate_->ask({shard, connection, edition_, attempt, client_id_},
                          [&](auth::Ticket ticket) {
                              exchange_->next(as_text(data), auth::Turn{chain_, ticket, *gate_});
                          });
    }

  private:
    Gate* gate_;
    std::shared_ptr<const auth::Chain> chain_;
    std::uint32_t edition_;  // of the chain, or an earlier one
    std::string address_;    // whom failures are counted for
    std::string client_id_;  // see Asker
    std::unique_ptr<auth::Exchange> exchange_;
};

Gate::Gate(std::shared_ptr<const auth::Chain> chain,
           std::shared_ptr<const auth::Acl> acl,
           const auth::ThrottleOptions& throttle)
    : acl_version_{new_acl_version()},
      throttle_{throttle, random_hash_key()},
      chain_{std::move(chain)},
      bans_{std::make_shared<const auth::BanList>()},
      acl_{std::move(acl)} {}

Gate::~Gate() = default;

void Gate::replace(std::shared_ptr<const auth::Chain> chain, std::shared_ptr<const auth::Acl> acl) {
    // What goes may be as large as its files: it is freed when nobody waits for the lock.
    const std::lock_guard lock{mutex_};
    chain_.swap(chain);
    acl_.swap(acl);
    acl_version_.store(new_acl_version(), std::memory_order_release);
    ++edition_;  // last: whoever sees it sees the rest
}

void Gate::set_bans(std::shared_ptr<const auth::BanList> bans) {
    const std::lock_guard lock{mutex_};
    has_bans_ = bans->size() != 0;
    bans_.swap(bans);
    ++edition_;
}

std::shared_ptr<const auth::BanList> Gate::current_bans() const {
    const std::lock_guard lock{mutex_};
    return bans_;
}

bool Gate::bans_address(std::string_view address) const {
    return has_bans_.load() && current_bans()->bans_address(address, wall_clock_unix_ms());
}

/// Asked on every PUBLISH: each thread keeps the rules it has used last, so that it costs a load,
/// and rules that no thread uses any more are gone once each has asked again.
const auth::Acl& Gate::current_acl() const {
    struct Used {
        std::uint64_t version = 0;
        std::shared_ptr<const auth::Acl> acl;
    };
    static thread_local Used used;
    if (used.version != acl_version_.load(std::memory_order_acquire)) {
        Used now;
        {
            const std::lock_guard lock{mutex_};
            now = {.version = acl_version_.load(), .acl = acl_};
        }
        std::swap(used, now);  // the last of the old rules' users frees them here
    }
    return *used.acl;
}

/// What conclude() has to look up: only who shows the right credentials learns of a ban.
std::string Gate::banned_client(const mqtt::ConnectRequest& request) const {
    return has_bans_.load() ? request.client_id : std::string{};
}

std::optional<server::Admission> Gate::admit(const mqtt::ConnectRequest& request,
                                             const server::PeerInfo& peer,
                                             ShardId shard,
                                             ConnectionId connection) {
    if (door_.load() == Door::closed) return closed_door();
    if (bans_address(peer.address)) return banned("its address is banned");
    // Who gives neither name nor password guesses nothing, and nobody guesses a certificate.
    auth::Throttle::Attempt attempt;
    if ((request.user_name || request.password) && peer.certificate_name.empty()) {
        attempt =
            throttle_.attempt(counted_address(peer), request.user_name.value_or(std::string{}));
        if (throttle_.refuses(attempt, monotonic_now())) return shown_out();
    }
    auth::ConnectCredentials credentials;
    credentials.client_id = request.client_id;
    credentials.user = request.user_name;
    credentials.password = request.password;
    credentials.locality = locality_of(peer);
    credentials.peer_address = peer.address;
    credentials.certificate_name = peer.certificate_name;
    credentials.lane = lane_of(attempt);
    if (peer.listener < listeners_.size()) credentials.listener = listeners_[peer.listener];
    const std::uint32_t edition = edition_.load();  // before the chain: never too new
    std::shared_ptr<const auth::Chain> chain = current_chain();
    const Asker asker{shard, connection, edition, attempt, banned_client(request)};
    return ask(asker, [&](auth::Ticket ticket) {
        auth::authenticate(std::move(chain), std::move(credentials), ticket, *this);
    });
}

void Gate::admit_visitor(admin::HttpCredentials credentials,
                         const server::PeerInfo& peer,
                         std::function<void(server::Admission)> answer) {
    if (bans_address(peer.address)) {
        answer(banned("its address is banned"));
        return;
    }
    auth::Throttle::Attempt attempt;
    const bool guesses = credentials.user || credentials.password;
    if (guesses && peer.certificate_name.empty()) {
        attempt =
            throttle_.attempt(counted_address(peer), credentials.user.value_or(std::string{}));
        if (throttle_.refuses(attempt, monotonic_now())) {
            answer(shown_out());
            return;
        }
    }
    auth::ConnectCredentials asked;
    asked.user = std::move(credentials.user);
    asked.password = std::move(credentials.password);
    asked.locality = locality_of(peer);
    asked.peer_address = peer.address;
    asked.certificate_name = peer.certificate_name;
    asked.lane = lane_of(attempt);
    if (peer.listener < listeners_.size()) asked.listener = listeners_[peer.listener];
    const std::uint32_t edition = edition_.load();  // before the chain: never too new
    std::shared_ptr<const auth::Chain> chain = current_chain();
    Asker asker{.edition = edition, .attempt = attempt, .visitor = answer};
    auto at_once = ask(std::move(asker), [&](auth::Ticket ticket) {
        auth::authenticate(std::move(chain), std::move(asked), ticket, *this);
    });
    if (at_once) answer(*std::move(at_once));
}

std::unique_ptr<server::AuthExchange> Gate::begin_exchange(const mqtt::ConnectRequest& request,
                                                           const server::PeerInfo& peer) {
    const std::uint32_t edition = edition_.load();
    std::shared_ptr<const auth::Chain> chain = current_chain();
    const auth::Method* found = chain->method(request.authentication_method);
    if (found == nullptr) return nullptr;
    std::string address{counted_address(peer)};
    const std::uint64_t lane =
        lane_of(throttle_.attempt(address, request.user_name.value_or(std::string{})));
    return std::make_unique<Talk>(
        *this,
        std::move(chain),
        edition,
        std::move(address),
        banned_client(request),
        found->begin({.client_id = request.client_id, .user = request.user_name, .lane = lane}));
}

void Gate::count_decision(auth::Outcome outcome) noexcept {
    decisions_[static_cast<std::size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
}

std::array<std::uint64_t, auth::kOutcomes> Gate::decisions() const noexcept {
    std::array<std::uint64_t, auth::kOutcomes> counts{};
    std::copy(decisions_.begin(), decisions_.end(), counts.begin());
    return counts;
}

/// By the throttle, before anybody was asked.
server::Admission Gate::shown_out() noexcept {
    count_decision(auth::Outcome::throttled);
    return throttled();
}

std::shared_ptr<const auth::Chain> Gate::current_chain() const {
    const std::lock_guard lock{mutex_};
    return chain_;
}

template <class Call>
std::optional<server::Admission> Gate::ask(Asker asker, Call&& call) {
    InlineAnswer answer;
    asker.asked_at = monotonic_now();
    {
        const std::lock_guard lock{mutex_};
        answer.ticket = next_ticket_++;
        askers_.emplace(answer.ticket, asker);
        if (!asker.visitor) asking_[asker.key()] = answer.ticket;
    }
    InlineAnswer::current = &answer;
    call(answer.ticket);
    InlineAnswer::current = nullptr;
    if (!answer.decision) return std::nullopt;
    asker.has_begun = answer.has_begun;
    return conclude(asker, std::move(*answer.decision));
}

void Gate::count(const Asker& asker, auth::Outcome outcome) {
    const Instant now = monotonic_now();
    if (outcome == auth::Outcome::accepted) {
        throttle_.succeeded(asker.attempt, now);
    } else if (outcome == auth::Outcome::bad_credentials ||
               outcome == auth::Outcome::not_authorised) {
        throttle_.failed(asker.attempt, now);
    }
    if (asker.has_begun) throttle_.end(asker.attempt);
}

/// What follows from a decision besides the answer.
server::Admission Gate::conclude(const Asker& asker, auth::Decision decision) {
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - asker.asked_at);
    decision_times_.add(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
    count_decision(decision.outcome);
    count(asker, decision.outcome);
    if (decision.outcome == auth::Outcome::accepted && has_bans_.load()) {
        const auto bans = current_bans();
        const std::int64_t now_ms = wall_clock_unix_ms();
        if (bans->bans_user(decision.principal.name, now_ms)) return banned("the user is banned");
        if (bans->bans_client(asker.client_id, now_ms)) return banned("the client is banned");
    }
    return admission_of(std::move(decision), asker.edition);
}

std::optional<auth::Decision> Gate::begins(auth::Ticket ticket) noexcept {
    const std::lock_guard lock{mutex_};
    const auto at = askers_.find(ticket);
    STENTOR_ASSERT(at != askers_.end(), "an authenticator answers once, at the end");
    Asker& asker = at->second;
    if (asker.has_gone) {
        return auth::Decision{
            .outcome = auth::Outcome::unavailable, .principal = {}, .why = "the client has gone"};
    }
    if (asker.has_begun) return std::nullopt;  // a second link of the chain has work for it
    switch (throttle_.begin(asker.attempt, monotonic_now())) {
        case auth::Throttle::Start::begins:
            asker.has_begun = true;
            return std::nullopt;
        case auth::Throttle::Start::refused:
            return auth::Decision{
                .outcome = auth::Outcome::throttled, .principal = {}, .why = kThrottled};
        case auth::Throttle::Start::too_many_undecided:
            break;
    }
    // Perhaps all of them are who they say: let it come again.
    return auth::Decision{.outcome = auth::Outcome::overloaded,
                          .principal = {},
                          .why = "too many from this address, or of this user, at the same time"};
}

void Gate::abandon(ShardId shard, ConnectionId connection) noexcept {
    const std::lock_guard lock{mutex_};
    const auto at = asking_.find(Asker{shard, connection}.key());
    if (at == asking_.end()) return;
    askers_.find(at->second)->second.has_gone = true;
}

void Gate::forget_askers() {
    const std::lock_guard lock{mutex_};
    for (auto& [ticket, asker] : askers_) asker.has_gone = !asker.visitor;
    asking_.clear();
}

/// Ids of connections may have begun anew since it asked: see forget_askers().
void Gate::forget(Askers::iterator asker) noexcept {
    const auto at = asking_.find(asker->second.key());
    if (at != asking_.end() && at->second == asker->first) asking_.erase(at);
    askers_.erase(asker);
}

void Gate::decided(auth::Ticket ticket, auth::Decision decision) noexcept {
    InlineAnswer* inline_answer = InlineAnswer::current;
    const bool is_inline = inline_answer != nullptr && inline_answer->ticket == ticket;
    std::unique_lock lock{mutex_};
    const auto at = askers_.find(ticket);
    STENTOR_ASSERT(at != askers_.end(), "an authenticator answers once");
    const Asker asker = at->second;
    if (is_inline) {
        forget(at);
        inline_answer->decision = std::move(decision);
        inline_answer->has_begun = asker.has_begun;
        return;
    }
    lock.unlock();
    server::Admission admission = conclude(asker, std::move(decision));
    lock.lock();  // until the answer is on its way, so that none comes after forget_askers()
    const auto still = askers_.find(ticket);
    const bool has_gone = still->second.has_gone;
    forget(still);
    if (has_gone) return;
    if (asker.visitor) {
        lock.unlock();
        asker.visitor(std::move(admission));
        return;
    }
    mailboxes_[asker.shard.value()]->push_reserved(
        server::Admitted{asker.connection, std::move(admission)});
}

/// Shards bring identities up to date one after the other; what is asked before its turn comes is
/// judged as things are all the same.
bool Gate::is_admin_now(const server::Identity& identity) const {
    if (identity.edition == edition_.load()) return identity.admin;
    auth::Principal principal = principal_of(identity);
    // Only of those without a name does it matter where they come from, and they are no admins.
    return current_chain()->still_accepts(principal, auth::Locality::remote) && principal.is_admin;
}

bool Gate::allows(server::TopicAction action,
                  const server::Identity& identity,
                  std::string_view client_id,
                  std::string_view topic) const {
    const auth::Acl& acl = current_acl();
    if (acl.allows_everything() && identity.grants == nullptr && !topic.starts_with('$') &&
        action != server::TopicAction::subscribe) {
        return true;
    }
    const auth::Subject subject{.user = identity.user,
                                .client_id = client_id,
                                .is_admin = topic.starts_with("$SYS") && is_admin_now(identity),
                                .grants = identity.grants.get(),
                                .roles = identity.roles.get()};
    switch (action) {
        case server::TopicAction::publish:
            return acl.publish(subject, topic).allowed;
        case server::TopicAction::subscribe:
            return acl.subscribe(subject, topic).allowed;
        case server::TopicAction::deliver:
            return acl.deliver(subject, topic).allowed;
    }
    return false;
}

mqtt::ReasonCode Gate::review(server::Identity& identity,
                              std::string_view client_id,
                              const server::PeerInfo& peer) const {
    const std::uint32_t edition = edition_.load();
    if (has_bans_.load()) {
        const auto bans = current_bans();
        const std::int64_t now_ms = wall_clock_unix_ms();
        if (bans->bans_client(client_id, now_ms) || bans->bans_user(identity.user, now_ms) ||
            bans->bans_address(peer.address, now_ms)) {
            return mqtt::ReasonCode::banned;
        }
    }
    auth::Principal principal = principal_of(identity);
    if (!current_chain()->still_accepts(principal, locality_of(peer))) {
        return mqtt::ReasonCode::not_authorized;
    }
    identity.admin = principal.is_admin;
    identity.edition = edition;
    return mqtt::ReasonCode::success;
}

bool Gate::checks_deliveries(const server::Identity& identity) const noexcept {
    const auth::Acl& acl = current_acl();
    const bool all_is_allowed = acl.allows_everything() && identity.grants == nullptr;
    return !all_is_allowed && acl.subscribe_policy() == auth::SubscribePolicy::filter;
}

}  // namespace stentor::app
