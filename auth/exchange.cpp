#include "auth/exchange.hpp"

#include "base/assert.hpp"

#include <utility>

namespace stentor::auth {

Turn::Turn(std::shared_ptr<const Chain> chain, Ticket ticket, DecisionSink& sink) noexcept
    : chain_{std::move(chain)}, ticket_{ticket}, sink_{&sink} {
    STENTOR_ASSERT(chain_ != nullptr);
}

Turn::Turn(Turn&& other) noexcept
    : chain_{std::move(other.chain_)},
      ticket_{other.ticket_},
      sink_{std::exchange(other.sink_, nullptr)} {}

Turn::~Turn() {
    if (sink_ == nullptr) return;
    decide({.outcome = Outcome::unavailable, .principal = {}, .why = "nobody answered"});
}

void Turn::decide(Decision decision) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "a turn is taken once");
    std::exchange(sink_, nullptr)->decided(ticket_, std::move(decision));
}

bool Turn::begins() noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "a turn is taken once");
    auto decision = sink_->begins(ticket_);
    if (!decision) return true;
    decide(*std::move(decision));
    return false;
}

void Turn::challenge(std::string data) && {
    decide({.outcome = Outcome::challenged, .principal = {}, .why = {}, .data = std::move(data)});
}

void Turn::accept(std::string_view authenticator,
                  std::string name,
                  std::string data,
                  Terms terms) && {
    decide({.outcome = Outcome::accepted,
            .principal =
                chain_->take(authenticator, std::move(name), Locality::remote, std::move(terms)),
            .why = {},
            .data = std::move(data)});
}

void Turn::deny(Outcome outcome, std::string why) && {
    STENTOR_ASSERT(outcome != Outcome::accepted && outcome != Outcome::challenged);
    decide({.outcome = outcome, .principal = {}, .why = std::move(why)});
}

}  // namespace stentor::auth
