#include "server/admin/visitor.hpp"

#include "base/address.hpp"
#include "base/base64.hpp"
#include "base/clock.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string.hpp>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// What a connection remembers.
class Known final : public Visitor {
  public:
    Digest header{};  // of Authorization, and the peer
    server::Identity identity;
    Instant valid_until = kNever;
};

Digest digest_of(std::string_view authorization, const server::PeerInfo& peer) {
    std::string text{authorization};
    text.append(1, '\0').append(peer.address).append(1, peer.loopback_listener ? 'l' : 'r');
    text.append(peer.certificate_name);  // that of a proxy counts only where it asks for itself
    Digest digest{};
    (void)::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr);
    ::OPENSSL_cleanse(text.data(), text.size());
    return digest;
}

/// Nothing: the header says something else.
std::optional<HttpCredentials> credentials_of(std::string_view header) {
    if (header.empty()) return HttpCredentials{};
    const std::size_t blank = header.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    const std::string_view scheme = header.substr(0, blank);
    const std::size_t begin = header.find_first_not_of(' ', blank);
    if (begin == std::string_view::npos) return std::nullopt;
    const std::string_view rest = header.substr(begin);
    if (boost::beast::iequals({scheme.data(), scheme.size()}, "bearer")) {
        return HttpCredentials{.password = std::string{rest}};
    }
    if (!boost::beast::iequals({scheme.data(), scheme.size()}, "basic")) return std::nullopt;
    const auto decoded = from_base64(rest);
    if (!decoded) return std::nullopt;
    const std::string_view pair = as_text(*decoded);
    const std::size_t colon = pair.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    return HttpCredentials{.user = std::string{pair.substr(0, colon)},
                           .password = std::string{pair.substr(colon + 1)}};
}

Reply unauthorized(std::string_view hint) {
    Reply reply =
        error_reply(Status::unauthorized, "unauthorized", "this needs a user, or a token", hint);
    reply.headers.emplace_back("WWW-Authenticate", R"(Basic realm="stentor", charset="UTF-8")");
    reply.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="stentor")");
    return reply;
}

Reply refusal_of(mqtt::ReasonCode reason) {
    switch (reason) {
        case mqtt::ReasonCode::banned:
            return error_reply(Status::forbidden, "banned", "this user or address is banned");
        case mqtt::ReasonCode::connection_rate_exceeded: {
            Reply reply = error_reply(Status::too_many_requests,
                                      "too_many_failures",
                                      "too many failed attempts from this address, or for this "
                                      "user",
                                      "wait, and try the right password");
            reply.headers.emplace_back("Retry-After", "10");
            return reply;
        }
        case mqtt::ReasonCode::server_unavailable:
        case mqtt::ReasonCode::server_busy: {
            Reply reply = error_reply(Status::service_unavailable,
                                      "authentication_unavailable",
                                      "nobody can say now who you are",
                                      "try again");
            reply.headers.emplace_back("Retry-After", "1");
            return reply;
        }
        default:
            return unauthorized("the password or token is not accepted, or missing");
    }
}

struct Asking {
    HttpAccess* door;
    HttpCredentials* credentials;
    const server::PeerInfo* peer;
    asio::any_io_executor executor;

    template <class Handler>
    void operator()(Handler&& handler) const {
        auto waiting = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler));
        door->admit_visitor(std::move(*credentials),
                            *peer,
                            [waiting, executor = executor](server::Admission admission) {
                                asio::post(executor,
                                           [waiting, admission = std::move(admission)]() mutable {
                                               (*waiting)(std::move(admission));
                                           });
                            });
    }
};

asio::awaitable<server::Admission> ask(HttpAccess& door,
                                       HttpCredentials credentials,
                                       const server::PeerInfo& peer) {
    const Asking asking{&door, &credentials, &peer, co_await asio::this_coro::executor};
    server::Admission admission =
        co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(server::Admission)>(
            asking, asio::use_awaitable);
    co_return admission;
}

}  // namespace

bool is_local(const Call& call) {
    if (!call.peer.loopback_listener) return false;
    std::string_view host = view((*call.request)[http::field::host]);
    if (host.empty()) return true;
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos) return false;
        const std::string_view rest = host.substr(end + 1);
        if (!rest.empty() && !rest.starts_with(':')) return false;
        host = host.substr(1, end - 1);
    } else {
        host = host.substr(0, host.find(':'));
        if (boost::beast::iequals({host.data(), host.size()}, "localhost")) return true;
    }
    // 127.example.org is anybody's name.
    const auto address = AddressKey::of(host);
    return address && address->is_loopback();
}

asio::awaitable<VisitorCheck::Outcome> VisitorCheck::identify(Call& call) {
    Outcome outcome;
    const http::fields& head = *call.request;
    if (head.count(http::field::authorization) > 1) {
        outcome.refusal =
            error_reply(Status::bad_request, "bad_request", "more than one Authorization header");
        co_return outcome;
    }
    server::PeerInfo peer = call.peer;
    peer.loopback_listener = is_local(call);
    const std::string_view header = view(head[http::field::authorization]);
    const Digest digest = digest_of(header, peer);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): nobody else makes visitors
    auto* known = static_cast<Known*>(call.visitor->get());
    if (known != nullptr && monotonic_now() < known->valid_until &&
        ::CRYPTO_memcmp(known->header.data(), digest.data(), digest.size()) == 0 &&
        (known->identity.edition == access_.edition() ||
         access_.review(known->identity, kHttpClientId, peer) == mqtt::ReasonCode::success)) {
        outcome.identity = known->identity;
        co_return outcome;
    }
    call.visitor->reset();
    auto credentials = credentials_of(header);
    if (!credentials) {
        outcome.refusal = unauthorized("write Authorization: Basic ..., or Bearer ...");
        co_return outcome;
    }
    server::Admission admission = co_await ask(door_, *std::move(credentials), peer);
    if (!admission.accepted) {
        outcome.refusal = refusal_of(admission.reason);
        co_return outcome;
    }
    auto fresh = std::make_unique<Known>();
    fresh->header = digest;
    fresh->identity = std::move(admission.identity);
    if (admission.valid_for) {
        fresh->valid_until = saturating_add(monotonic_now(), *admission.valid_for);
    }
    outcome.identity = fresh->identity;
    *call.visitor = std::move(fresh);
    co_return outcome;
}

}  // namespace stentor::admin
