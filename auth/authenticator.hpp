#pragma once
// Who is this client? A chain of authenticators is asked one after the other; each accepts, denies
// or passes the request on. Answers may come at once or later, from any thread: a shard hands over
// what CONNECT said with a ticket, and its sink is told.
//
//     auth::authenticate(chain, std::move(credentials), ticket, sink);
//     ... sink.decided(ticket, decision), exactly once

#include "auth/grants.hpp"
#include "auth/role_names.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {

/// loopback: the listener is bound to loopback (or is a Unix socket) *and* the peer brought no
/// PROXY header or X-Forwarded-For. Anything else is remote.
enum class Locality : std::uint8_t { loopback, remote };

/// What a client said about itself. Owned: it outlives the packet. The password is overwritten as
/// soon as the decision has been made.
struct ConnectCredentials {
    std::string client_id;
    std::optional<std::string> user;
    std::optional<std::string> password;  // bytes
    Locality locality = Locality::remote;
    std::string peer_address;           // numeric, without the port; empty: a Unix socket
    std::string certificate_name = {};  // common name of a verified client certificate, or empty
    std::uint64_t lane = 0;             // see Job::lane()
    std::string listener = {};          // its URL

    /// What it takes in memory, about.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return sizeof(*this) + client_id.size() + (user ? user->size() : 0) +
               (password ? password->size() : 0) + certificate_name.size();
    }
};

/// On what terms a client is accepted, where its credentials say so.
struct Terms {
    GrantsPtr grants = {};    // null: the ACL file alone decides
    RoleNamesPtr roles = {};  // beside those that the ACL file gives the name; null: none
    /// How long from now on; then the connection is closed. Nothing: as long as it likes.
    std::optional<std::chrono::milliseconds> valid_for = {};
    bool is_admin = false;  // whether or not http.admins lists the name
};

/// Who the client is from then on.
struct Principal {
    std::string authenticator;  // "password", "anonymous", ...
    std::string name;           // empty: anonymous; this, not what CONNECT said, is %u in rules
    /// "authenticator:name" is among http.admins, or the terms say so.
    bool is_admin = false;
    /// What it was taken for, see Authenticator::voucher(). 0: nothing to look at again.
    std::uint64_t voucher = 0;
    Terms terms = {};
};

enum class Outcome : std::uint8_t {
    accepted,
    bad_credentials,  // 0x86; 3.1.1: 4
    not_authorised,   // 0x87; 3.1.1: 5
    unavailable,      // 0x88; 3.1.1: 3. The client may try again
    throttled,        // 0x9F; 3.1.1: 3. Too many have failed before it: nothing was looked at
    overloaded,       // no room to look: closed without an answer, so that the client comes again
    challenged,       // of an Exchange only: the client has to answer `data`
};

inline constexpr std::size_t kOutcomes = static_cast<std::size_t>(Outcome::challenged) + 1;

/// For counters: a promise to whoever reads them.
[[nodiscard]] constexpr std::string_view name(Outcome outcome) noexcept {
    switch (outcome) {
        case Outcome::accepted:
            return "accepted";
        case Outcome::bad_credentials:
            return "bad_credentials";
        case Outcome::not_authorised:
            return "not_authorized";
        case Outcome::unavailable:
            return "unavailable";
        case Outcome::throttled:
            return "throttled";
        case Outcome::overloaded:
            return "overloaded";
        case Outcome::challenged:
            return "challenged";
    }
    return "unknown";
}

struct Decision {
    Outcome outcome = Outcome::unavailable;
    Principal principal;  // of Outcome::accepted
    std::string why;      // for the log; never for the client, who must not learn which users exist
    std::string data = {};  // of an Exchange: challenge or last word for the client
};

using Ticket = std::uint64_t;

class DecisionSink {
  public:
    /// Exactly once per ticket, possibly before authenticate() returns; on any thread.
    virtual void decided(Ticket ticket, Decision decision) noexcept = 0;

    /// Slow work for the ticket is about to begin; on any thread, before decided(). A decision:
    /// the work is not needed any more, that is the answer.
    [[nodiscard]] virtual std::optional<Decision> begins(Ticket ticket) noexcept {
        (void)ticket;
        return std::nullopt;
    }

  protected:
    ~DecisionSink() = default;
};

class Chain;
class Method;

/// One client at the door, on its way along the chain. Whoever holds it must answer it by calling
/// exactly one of the three functions; one that is destroyed without is decided as `unavailable`.
class Request {
  public:
    Request(std::shared_ptr<const Chain> chain,
            ConnectCredentials credentials,
            Ticket ticket,
            DecisionSink& sink) noexcept;
    Request(Request&& other) noexcept;
    Request& operator=(Request&&) = delete;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request();

    [[nodiscard]] const ConnectCredentials& credentials() const noexcept { return credentials_; }

    /// To be asked before slow work. False: it is not needed any more, the request has been
    /// answered.
    [[nodiscard]] bool begins() noexcept;

    /// The client is `name`, says `authenticator`.
    void accept(std::string_view authenticator, std::string name, Terms terms = {}) &&;
    void deny(Outcome outcome, std::string why) &&;
    /// Not for this authenticator: the next one is asked. After the last the request is denied.
    void pass_on() &&;

  private:
    friend class Chain;

    void decide(Decision decision) noexcept;

    std::shared_ptr<const Chain> chain_;
    std::size_t next_ = 0;  // link to ask next
    ConnectCredentials credentials_;
    Ticket ticket_;
    DecisionSink* sink_;  // null: answered, or moved from
};

/// A link of the chain. Immutable while it is in use: it is asked from several threads at a time.
class Authenticator {
  public:
    virtual ~Authenticator() = default;
    Authenticator() = default;
    Authenticator(const Authenticator&) = delete;
    Authenticator& operator=(const Authenticator&) = delete;

    /// "password", "jwt", ...: the first part of the names in http.admins.
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// Answers now or later. Must not block: slow work goes to an Executor.
    virtual void ask(Request request) const = 0;

    /// What a client of that name is taken for as of now: another number when that has changed (a
    /// password), 0 when it would not be taken any more, or when there is nothing to look at again
    /// while it is connected (the default). Fast; asked at each CONNECT and after each reload.
    [[nodiscard]] virtual std::uint64_t voucher(std::string_view name, Locality locality) const;
};

/// Immutable; a reload makes a new one, requests under way finish with theirs.
class Chain {
  public:
    /// `admins` are "authenticator:name"; `methods` those of enhanced authentication.
    Chain(std::vector<std::unique_ptr<const Authenticator>> links, std::vector<std::string> admins);
    Chain(std::vector<std::unique_ptr<const Authenticator>> links,
          std::vector<std::string> admins,
          std::vector<std::unique_ptr<const Method>> methods);
    ~Chain();
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return links_.size(); }
    [[nodiscard]] bool is_admin(std::string_view authenticator, std::string_view name) const;
    /// What `authenticator` takes `name` for; 0 if there is nothing to look at again.
    [[nodiscard]] std::uint64_t voucher(std::string_view authenticator,
                                        std::string_view name,
                                        Locality locality) const;
    /// How somebody is taken for whom one of the links vouches. His voucher also says whether his
    /// terms make him an administrator.
    [[nodiscard]] Principal take(std::string_view authenticator,
                                 std::string name,
                                 Locality locality,
                                 Terms terms) const;
    /// Whether somebody whom an earlier chain has accepted would be taken for the same by this one;
    /// updates is_admin then.
    [[nodiscard]] bool still_accepts(Principal& principal, Locality locality) const;
    /// Null: there is no method of that name. Lives as long as the chain.
    [[nodiscard]] const Method* method(std::string_view name) const noexcept;

  private:
    friend class Request;

    void ask_next(Request request) const;

    std::vector<std::unique_ptr<const Authenticator>> links_;
    std::vector<std::string> admins_;
    std::vector<std::unique_ptr<const Method>> methods_;
};

/// Starts a client's way along the chain. Any thread; `sink` must live until it has been told.
void authenticate(std::shared_ptr<const Chain> chain,
                  ConnectCredentials credentials,
                  Ticket ticket,
                  DecisionSink& sink);

}  // namespace stentor::auth
