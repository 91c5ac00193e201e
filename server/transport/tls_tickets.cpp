#include "server/transport/tls_tickets.hpp"

#include "base/clock.hpp"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstring>
#include <ctime>
#include <optional>

namespace stentor::server {

namespace {

std::int64_t wall_clock_seconds() noexcept { return wall_clock_unix_ms() / 1000; }

/// When the first of the sessions that led to this one began.
std::optional<std::int64_t> beginning(SSL_SESSION* session) {
    void* data = nullptr;
    std::size_t size = 0;
    std::int64_t began = 0;
    if (::SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof began) {
        return std::nullopt;
    }
    std::memcpy(&began, data, sizeof began);
    return began;
}

bool may_resume(SSL_SESSION* session, std::int64_t now) {
    const auto began = beginning(session);
    // A clock that was set back costs a handshake.
    if (!began || now < *began || now - *began >= kTicketLifeMax.count()) return false;
    const X509* shown = ::SSL_SESSION_get0_peer(session);
    std::time_t at = now;
    return shown == nullptr || ::X509_cmp_time(::X509_get0_notAfter(shown), &at) > 0;
}

/// What is resumed has a beginning already, and OpenSSL keeps it in the new ticket.
int on_new_ticket(SSL* connection, void* clock) {
    SSL_SESSION* session = ::SSL_get_session(connection);
    if (beginning(session)) return 1;
    const std::int64_t now = static_cast<const TicketClock*>(clock)->now();
    return ::SSL_SESSION_set1_ticket_appdata(session, &now, sizeof now);
}

SSL_TICKET_RETURN on_ticket(SSL* /*connection*/,
                            SSL_SESSION* session,
                            const unsigned char* /*key_name*/,
                            std::size_t /*size*/,
                            SSL_TICKET_STATUS status,
                            void* clock) {
    const bool is_good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    // A full handshake follows, and another ticket.
    if (!is_good || !may_resume(session, static_cast<const TicketClock*>(clock)->now())) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

}  // namespace

const TicketClock kTicketClock{&wall_clock_seconds};

void bound_tickets(ssl_ctx_st* context, const TicketClock& clock) {
    (void)::SSL_CTX_set_session_ticket_cb(
        context, &on_new_ticket, &on_ticket, const_cast<TicketClock*>(&clock));
}

}  // namespace stentor::server
