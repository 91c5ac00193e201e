#include "server/app/gate.hpp"

#include "auth/exchange.hpp"
#include "base/clock.hpp"
#include "base/random.hpp"
#include "server/shard/transport_port.hpp"

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
            return mqtt::ReasonCode::server_unavailable;
    }
    return mqtt::ReasonCode::not_authorized;
}

auth::Locality locality_of(const server::PeerInfo& peer) {
    return peer.loopback_listener ? auth::Locality::loopback : auth::Locality::remote;
}

server::Admission admission_of(auth::Decision decision, std::uint32_t edition) {
    server::Admission admission;
    admission.accepted = decision.outcome == auth::Outcome::accepted;
    admission.goes_on = decision.outcome == auth::Outcome::challenged;
    admission.data = std::move(decision.data);
    admission.reason = reason_of(decision.outcome);
    auth::Principal& principal = decision.principal;
    admission.identity = {.user = std::move(principal.name),
                          .admin = principal.is_admin,
                          .grants = std::move(principal.terms.grants),
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
    return refused(mqtt::ReasonCode::server_unavailable, "the store is being opened again");
}

server::Admission banned(const char* why) { return refused(mqtt::ReasonCode::banned, why); }

/// The same whether the user exists or not.
server::Admission throttled() {
    return refused(mqtt::ReasonCode::connection_rate_exceeded,
                   "too many failed attempts from this address, or for this user "
                   "(auth.failures_per_address_max, auth.failures_per_user_max)");
}

}  // namespace

/// An answer that comes while the question is being asked, on the same thread: the usual case
/// (anonymous), which then needs no way through the mailbox.
struct Gate::InlineAnswer {
    static thread_local InlineAnswer* current;
    auth::Ticket ticket = 0;
    std::optional<auth::Decision> decision;
};
thread_local Gate::InlineAnswer* Gate::InlineAnswer::current = nullptr;

/// An exchange keeps the chain that it began with, past reloads.
class Gate::Talk final : public server::AuthExchange {
  public:
    Talk(Gate& gate,
         std::shared_ptr<const auth::Chain> chain,
         std::uint32_t edition,
         auth::Throttle::Attempt attempt,
         bool is_banned,
         std::unique_ptr<auth::Exchange> exchange)
        : gate_{&gate},
          chain_{std::move(chain)},
          edition_{edition},
          attempt_{attempt},
          is_banned_{is_banned},
          exchange_{std::move(exchange)} {}

    std::optional<server::Admission> next(ByteView data,
                                          ShardId shard,
                                          ConnectionId connection) override {
        if (gate_->door_.load() == Door::closed) return closed_door();
        if (is_banned_) return banned("the client or its address is banned");
        if (gate_->throttle_.refuses(attempt_, monotonic_now())) return throttled();
        return gate_->ask({shard, connection, edition_, attempt_}, [&](auth::Ticket ticket) {
            exchange_->next(as_text(data), auth::Turn{chain_, ticket, *gate_});
        });
    }

  private:
    Gate* gate_;
    std::shared_ptr<const auth::Chain> chain_;
    std::uint32_t edition_;  // of the chain, or an earlier one
    auth::Throttle::Attempt attempt_;
    bool is_banned_;
    std::unique_ptr<auth::Exchange> exchange_;
};

Gate::Gate(std::shared_ptr<const auth::Chain> chain,
           std::shared_ptr<const auth::Acl> acl,
           const auth::ThrottleOptions& throttle,
           server::NetworkList proxies)
    : acl_{acl.get()},
      throttle_{throttle, random_hash_key()},
      proxies_{std::move(proxies)},
      chain_{std::move(chain)},
      bans_{std::make_shared<const auth::BanList>()} {
    acls_.push_back(std::move(acl));
}

Gate::~Gate() = default;

void Gate::replace(std::shared_ptr<const auth::Chain> chain, std::shared_ptr<const auth::Acl> acl) {
    const std::lock_guard lock{mutex_};
    chain_ = std::move(chain);
    acl_.store(acl.get(), std::memory_order_release);
    acls_.push_back(std::move(acl));
    ++edition_;  // last: whoever sees it sees the rest
}

void Gate::set_bans(std::shared_ptr<const auth::BanList> bans) {
    const std::lock_guard lock{mutex_};
    has_bans_ = bans->size() != 0;
    bans_ = std::move(bans);
    ++edition_;
}

std::shared_ptr<const auth::BanList> Gate::current_bans() const {
    const std::lock_guard lock{mutex_};
    return bans_;
}

bool Gate::bans_address(std::string_view address) const {
    return has_bans_.load() && current_bans()->bans_address(address, wall_clock_unix_ms());
}

auth::Throttle::Attempt Gate::attempt_of(const server::PeerInfo& peer,
                                         std::string_view user) const {
    const bool stands_for_many = proxies_.contains(peer.address);
    return throttle_.attempt(stands_for_many ? std::string_view{} : peer.address, user);
}

std::optional<server::Admission> Gate::admit(const mqtt::ConnectRequest& request,
                                             const server::PeerInfo& peer,
                                             ShardId shard,
                                             ConnectionId connection) {
    if (door_.load() == Door::closed) return closed_door();
    if (has_bans_.load()) {
        const auto bans = current_bans();
        const std::int64_t now_ms = wall_clock_unix_ms();
        if (bans->bans_client(request.client_id, now_ms)) return banned("the client is banned");
        if (bans->bans_address(peer.address, now_ms)) return banned("its address is banned");
    }
    // Who gives neither name nor password guesses nothing, and nobody guesses a certificate.
    auth::Throttle::Attempt attempt;
    if ((request.user_name || request.password) && peer.certificate_name.empty()) {
        attempt = attempt_of(peer, request.user_name.value_or(std::string{}));
        if (throttle_.refuses(attempt, monotonic_now())) return throttled();
    }
    auth::ConnectCredentials credentials;
    credentials.client_id = request.client_id;
    credentials.user = request.user_name;
    credentials.password = request.password;
    credentials.locality = locality_of(peer);
    credentials.peer_address = peer.address;
    credentials.certificate_name = peer.certificate_name;
    const std::uint32_t edition = edition_.load();  // before the chain: never too new
    std::shared_ptr<const auth::Chain> chain = current_chain();
    return ask({shard, connection, edition, attempt}, [&](auth::Ticket ticket) {
        auth::authenticate(std::move(chain), std::move(credentials), ticket, *this);
    });
}

std::unique_ptr<server::AuthExchange> Gate::begin_exchange(const mqtt::ConnectRequest& request,
                                                           const server::PeerInfo& peer) {
    const std::uint32_t edition = edition_.load();
    std::shared_ptr<const auth::Chain> chain = current_chain();
    const auth::Method* found = chain->method(request.authentication_method);
    if (found == nullptr) return nullptr;
    const bool is_banned = current_bans()->bans_client(request.client_id, wall_clock_unix_ms()) ||
                           bans_address(peer.address);
    return std::make_unique<Talk>(
        *this,
        std::move(chain),
        edition,
        attempt_of(peer, {}),  // the user is the method's to know
        is_banned,
        found->begin({.client_id = request.client_id, .user = request.user_name}));
}

std::shared_ptr<const auth::Chain> Gate::current_chain() const {
    const std::lock_guard lock{mutex_};
    return chain_;
}

template <class Call>
std::optional<server::Admission> Gate::ask(Asker asker, Call&& call) {
    InlineAnswer answer;
    {
        const std::lock_guard lock{mutex_};
        answer.ticket = next_ticket_++;
        askers_.emplace(answer.ticket, asker);
    }
    InlineAnswer::current = &answer;
    call(answer.ticket);
    InlineAnswer::current = nullptr;
    if (!answer.decision) return std::nullopt;
    return conclude(asker, std::move(*answer.decision));
}

/// What follows from a decision besides the answer.
server::Admission Gate::conclude(const Asker& asker, auth::Decision decision) {
    if (decision.outcome == auth::Outcome::bad_credentials ||
        decision.outcome == auth::Outcome::not_authorised) {
        throttle_.failed(asker.attempt, monotonic_now());
    } else if (decision.outcome == auth::Outcome::accepted) {
        throttle_.succeeded(asker.attempt, monotonic_now());
        if (has_bans_.load() &&
            current_bans()->bans_user(decision.principal.name, wall_clock_unix_ms())) {
            return banned("the user is banned");
        }
    }
    return admission_of(std::move(decision), asker.edition);
}

void Gate::forget_askers() {
    const std::lock_guard lock{mutex_};
    for (auto& [ticket, asker] : askers_) asker.has_gone = true;
}

void Gate::decided(auth::Ticket ticket, auth::Decision decision) noexcept {
    InlineAnswer* inline_answer = InlineAnswer::current;
    const bool is_inline = inline_answer != nullptr && inline_answer->ticket == ticket;
    std::unique_lock lock{mutex_};
    const auto at = askers_.find(ticket);
    STENTOR_ASSERT(at != askers_.end(), "an authenticator answers once");
    const Asker asker = at->second;
    if (is_inline) {
        askers_.erase(at);
        inline_answer->decision = std::move(decision);
        return;
    }
    lock.unlock();
    server::Admission admission = conclude(asker, std::move(decision));
    lock.lock();  // until the answer is on its way, so that none comes after forget_askers()
    const auto still = askers_.find(ticket);
    const bool has_gone = still->second.has_gone;
    askers_.erase(still);
    if (has_gone) return;
    mailboxes_[asker.shard.value()]->push_reserved(
        server::Admitted{asker.connection, std::move(admission)});
}

bool Gate::allows(server::TopicAction action,
                  const server::Identity& identity,
                  std::string_view client_id,
                  std::string_view topic) const {
    const auth::Acl& acl = *acl_.load(std::memory_order_acquire);
    if (acl.allows_everything() && identity.grants == nullptr && !topic.starts_with('$') &&
        action != server::TopicAction::subscribe) {
        return true;
    }
    const auth::Subject subject{.user = identity.user,
                                .client_id = client_id,
                                .is_admin = identity.admin,
                                .grants = identity.grants.get()};
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
    auth::Principal principal{.authenticator = {},
                              .name = identity.user,
                              .is_admin = identity.admin,
                              .voucher = identity.voucher};
    if (!current_chain()->still_accepts(principal, locality_of(peer))) {
        return mqtt::ReasonCode::not_authorized;
    }
    identity.admin = principal.is_admin;
    identity.edition = edition;
    return mqtt::ReasonCode::success;
}

bool Gate::checks_deliveries(const server::Identity& identity) const noexcept {
    const auth::Acl& acl = *acl_.load(std::memory_order_acquire);
    const bool all_is_allowed = acl.allows_everything() && identity.grants == nullptr;
    return !all_is_allowed && acl.subscribe_policy() == auth::SubscribePolicy::filter;
}

}  // namespace stentor::app
