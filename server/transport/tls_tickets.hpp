#pragma once
// How long a client may resume TLS sessions without a full handshake. OpenSSL bounds the age of a
// ticket only, and in TLS 1.3 whoever resumes gets a fresh one, so that a client could go on for
// ever with what was verified once. A ticket keeps when its first session began; behind two hours,
// and when the client's certificate has ended, there is a full handshake, which verifies again.
// Called by OpenSSL on the connection's shard; no state but what is in the tickets.

#include <chrono>
#include <cstdint>

struct ssl_ctx_st;

namespace stentor::server {

inline constexpr std::chrono::seconds kTicketLifeMax = std::chrono::hours{2};

/// What tells the time of day, in seconds since 1970.
struct TicketClock {
    std::int64_t (*now)() noexcept;
};
extern const TicketClock kTicketClock;

/// For all connections of `context`; `clock` outlives it.
void bound_tickets(ssl_ctx_st* context, const TicketClock& clock = kTicketClock);

}  // namespace stentor::server
