#include "server/app/gate.hpp"

#include "auth/exchange.hpp"
#include "base/log.hpp"
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

server::Admission closed_door() {
    server::Admission refused;
    refused.reason = mqtt::ReasonCode::server_unavailable;
    return refused;
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
         std::unique_ptr<auth::Exchange> exchange)
        : gate_{&gate},
          chain_{std::move(chain)},
          edition_{edition},
          exchange_{std::move(exchange)} {}

    std::optional<server::Admission> next(ByteView data,
                                          ShardId shard,
                                          ConnectionId connection) override {
        if (gate_->door_.load() == Door::closed) return closed_door();
        return gate_->ask({shard, connection, edition_}, [&](auth::Ticket ticket) {
            exchange_->next(as_text(data), auth::Turn{chain_, ticket, *gate_});
        });
    }

  private:
    Gate* gate_;
    std::shared_ptr<const auth::Chain> chain_;
    std::uint32_t edition_;  // of the chain, or an earlier one
    std::unique_ptr<auth::Exchange> exchange_;
};

Gate::Gate(std::shared_ptr<const auth::Chain> chain, std::shared_ptr<const auth::Acl> acl)
    : acl_{acl.get()}, chain_{std::move(chain)} {
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

std::optional<server::Admission> Gate::admit(const mqtt::ConnectRequest& request,
                                             const server::PeerInfo& peer,
                                             ShardId shard,
                                             ConnectionId connection) {
    if (door_.load() == Door::closed) return closed_door();
    auth::ConnectCredentials credentials;
    credentials.client_id = request.client_id;
    credentials.user = request.user_name;
    credentials.password = request.password;
    credentials.locality = locality_of(peer);
    credentials.peer_address = peer.address;
    credentials.certificate_name = peer.certificate_name;
    const std::uint32_t edition = edition_.load();  // before the chain: never too new
    std::shared_ptr<const auth::Chain> chain = current_chain();
    return ask({shard, connection, edition}, [&](auth::Ticket ticket) {
        auth::authenticate(std::move(chain), std::move(credentials), ticket, *this);
    });
}

std::unique_ptr<server::AuthExchange> Gate::begin_exchange(const mqtt::ConnectRequest& request) {
    const std::uint32_t edition = edition_.load();
    std::shared_ptr<const auth::Chain> chain = current_chain();
    const auth::Method* found = chain->method(request.authentication_method);
    if (found == nullptr) return nullptr;
    auto exchange = found->begin({.client_id = request.client_id, .user = request.user_name});
    return std::make_unique<Talk>(*this, std::move(chain), edition, std::move(exchange));
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
    return admission_of(std::move(*answer.decision), asker.edition);
}

void Gate::forget_askers() {
    const std::lock_guard lock{mutex_};
    for (auto& [ticket, asker] : askers_) asker.has_gone = true;
}

void Gate::decided(auth::Ticket ticket, auth::Decision decision) noexcept {
    // Held until the answer is on its way, so that none comes after forget_askers().
    const std::lock_guard lock{mutex_};
    const auto at = askers_.find(ticket);
    STENTOR_ASSERT(at != askers_.end(), "an authenticator answers once");
    const Asker asker = at->second;
    askers_.erase(at);
    InlineAnswer* inline_answer = InlineAnswer::current;
    if (inline_answer != nullptr && inline_answer->ticket == ticket) {
        inline_answer->decision = std::move(decision);
        return;
    }
    if (asker.has_gone) return;
    mailboxes_[asker.shard.value()]->push_reserved(
        server::Admitted{asker.connection, admission_of(std::move(decision), asker.edition)});
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
                              std::string_view /*client_id*/,
                              const server::PeerInfo& peer) const {
    const std::uint32_t edition = edition_.load();
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
