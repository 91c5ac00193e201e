#include "auth/authenticator.hpp"

#include "auth/exchange.hpp"
#include "base/assert.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

namespace stentor::auth {
namespace {

// Of a voucher: its owner is an administrator because his terms say so, whatever http.admins lists.
constexpr std::uint64_t kAppointed = std::uint64_t{1} << 63U;

}  // namespace

Request::Request(std::shared_ptr<const Chain> chain,
                 ConnectCredentials credentials,
                 Ticket ticket,
                 DecisionSink& sink) noexcept
    : chain_{std::move(chain)},
      credentials_{std::move(credentials)},
      ticket_{ticket},
      sink_{&sink} {}

Request::Request(Request&& other) noexcept
    : chain_{std::move(other.chain_)},
      next_{other.next_},
      credentials_{std::move(other.credentials_)},
      ticket_{other.ticket_},
      sink_{std::exchange(other.sink_, nullptr)} {
    // A short password lives inside the string object and stays behind when it is moved.
    if (other.credentials_.password) {
        std::string& left = *other.credentials_.password;
        left.resize(left.capacity());
        OPENSSL_cleanse(left.data(), left.size());
        left.clear();
    }
}

Request::~Request() {
    if (sink_ == nullptr) return;
    decide({.outcome = Outcome::unavailable, .principal = {}, .why = "nobody answered"});
}

void Request::decide(Decision decision) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "a request is answered once");
    if (credentials_.password) {
        std::string& password = *credentials_.password;
        OPENSSL_cleanse(password.data(), password.size());
    }
    std::exchange(sink_, nullptr)->decided(ticket_, std::move(decision));
}

bool Request::begins() noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "a request is answered once");
    auto decision = sink_->begins(ticket_);
    if (!decision) return true;
    decide(*std::move(decision));
    return false;
}

void Request::accept(std::string_view authenticator, std::string name, Terms terms) && {
    decide({.outcome = Outcome::accepted,
            .principal = chain_->take(
                authenticator, std::move(name), credentials_.locality, std::move(terms)),
            .why = {}});
}

void Request::deny(Outcome outcome, std::string why) && {
    STENTOR_ASSERT(outcome != Outcome::accepted && outcome != Outcome::challenged);
    decide({.outcome = outcome, .principal = {}, .why = std::move(why)});
}

void Request::pass_on() && {
    // The chain must outlive the call even if the next link keeps nothing of the request.
    const std::shared_ptr<const Chain> chain = chain_;
    chain->ask_next(std::move(*this));
}

Chain::Chain(std::vector<std::unique_ptr<const Authenticator>> links,
             std::vector<std::string> admins)
    : Chain{std::move(links), std::move(admins), {}} {}

Chain::Chain(std::vector<std::unique_ptr<const Authenticator>> links,
             std::vector<std::string> admins,
             std::vector<std::unique_ptr<const Method>> methods)
    : links_{std::move(links)}, admins_{std::move(admins)}, methods_{std::move(methods)} {}

Chain::~Chain() = default;

std::uint64_t Authenticator::voucher(std::string_view /*name*/, Locality /*locality*/) const {
    return 0;
}

std::uint64_t Chain::voucher(std::string_view authenticator,
                             std::string_view name,
                             Locality locality) const {
    for (const auto& link : links_) {
        if (link->name() == authenticator) return link->voucher(name, locality);
    }
    return 0;
}

Principal Chain::take(std::string_view authenticator,
                      std::string name,
                      Locality locality,
                      Terms terms) const {
    std::uint64_t taken_for = voucher(authenticator, name, locality) & ~kAppointed;
    if (taken_for != 0 && terms.is_admin) taken_for |= kAppointed;
    const bool is_listed = is_admin(authenticator, name);
    return {.authenticator = std::string{authenticator},
            .name = std::move(name),
            .is_admin = terms.is_admin || is_listed,
            .voucher = taken_for,
            .terms = std::move(terms)};
}

bool Chain::still_accepts(Principal& principal, Locality locality) const {
    if (principal.voucher == 0) return true;
    for (const auto& link : links_) {
        const std::uint64_t now = link->voucher(principal.name, locality) & ~kAppointed;
        if (now == 0 || now != (principal.voucher & ~kAppointed)) continue;
        const bool is_appointed = (principal.voucher & kAppointed) != 0;
        principal.is_admin = is_appointed || is_admin(link->name(), principal.name);
        return true;
    }
    return false;
}

const Method* Chain::method(std::string_view name) const noexcept {
    const auto found = std::find_if(methods_.begin(), methods_.end(), [&](const auto& method) {
        return method->name() == name;
    });
    return found == methods_.end() ? nullptr : found->get();
}

bool Chain::is_admin(std::string_view authenticator, std::string_view name) const {
    return std::any_of(admins_.begin(), admins_.end(), [&](std::string_view admin) {
        return admin.size() == authenticator.size() + 1 + name.size() &&
               admin.starts_with(authenticator) && admin[authenticator.size()] == ':' &&
               admin.ends_with(name);
    });
}

void Chain::ask_next(Request request) const {
    if (request.next_ < links_.size()) {
        const Authenticator& link = *links_[request.next_++];
        link.ask(std::move(request));
        return;
    }
    const bool named = request.credentials().user.has_value();
    std::move(request).deny(named ? Outcome::bad_credentials : Outcome::not_authorised,
                            named ? "unknown user or wrong password" : "no user name given");
}

void authenticate(std::shared_ptr<const Chain> chain,
                  ConnectCredentials credentials,
                  Ticket ticket,
                  DecisionSink& sink) {
    STENTOR_ASSERT(chain != nullptr);
    Request{std::move(chain), std::move(credentials), ticket, sink}.pass_on();
}

}  // namespace stentor::auth
