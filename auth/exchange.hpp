#pragma once
// Enhanced authentication (MQTT 5.0 section 4.12): a method asks, the client answers, until the
// method knows who it is. The shard names the method, hands over what the client says, and is told
// a Decision after each time, at once or later, from any thread.
//
//     const Method* method = chain->method("SCRAM-SHA-256");
//     auto exchange = method->begin({.client_id = "c", .user = {}});
//     exchange->next(data, Turn{chain, ticket, sink});    // sink.decided(ticket, challenged)
//     exchange->next(answer, Turn{chain, ticket, sink});  // sink.decided(ticket, accepted)

#include "auth/authenticator.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::auth {

/// The method's turn to speak. Whoever holds it must call exactly one of the three functions; one
/// that is destroyed without is decided as `unavailable`.
class Turn {
  public:
    Turn(std::shared_ptr<const Chain> chain, Ticket ticket, DecisionSink& sink) noexcept;
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&&) = delete;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

    /// To be asked before slow work. False: it is not needed any more, the turn is over.
    [[nodiscard]] bool begins() noexcept;

    /// The client has to answer `data`.
    void challenge(std::string data) &&;
    /// The client is `name`, says `authenticator`; `data` is the last word to it.
    void accept(std::string_view authenticator,
                std::string name,
                std::string data,
                Terms terms = {}) &&;
    void deny(Outcome outcome, std::string why) &&;

  private:
    void decide(Decision decision) noexcept;

    std::shared_ptr<const Chain> chain_;
    Ticket ticket_;
    DecisionSink* sink_;  // null: answered, or moved from
};

/// One conversation with one client. One thread at a time; it may be destroyed while an answer is
/// being worked out, so whoever works keeps what it needs.
class Exchange {
  public:
    virtual ~Exchange() = default;
    Exchange() = default;
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// What the client says; the first time what came with CONNECT, possibly nothing. Answers now
    /// or later and must not block. Not called again before the answer, nor after the last one.
    virtual void next(std::string_view data, Turn turn) = 0;

    /// Whom the conversation is about, as far as the client has said: not proven, and whoever
    /// counts failures wants to know it before a proof is looked at. Asked when next() might be.
    [[nodiscard]] virtual std::string_view user() const noexcept { return {}; }
};

/// Who converses; what CONNECT said about itself.
struct ExchangeClient {
    std::string client_id;
    std::optional<std::string> user;
    std::uint64_t lane = 0;  // see Job::lane()
};

/// Immutable while it is in use: it is asked from several threads at a time.
class Method {
  public:
    virtual ~Method() = default;
    Method() = default;
    Method(const Method&) = delete;
    Method& operator=(const Method&) = delete;

    /// The Authentication Method of MQTT.
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual std::unique_ptr<Exchange> begin(ExchangeClient client) const = 0;
};

}  // namespace stentor::auth
