#include "server/config/options_table.hpp"

#include "server/config/checks.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

namespace stentor::config {
namespace {

constexpr std::uint64_t kMinute = 60'000;
constexpr std::uint64_t kDay = 24 * (60 * kMinute);
constexpr std::uint64_t kCentury = 36'500 * kDay;
constexpr std::uint64_t kMany = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 60U;
constexpr std::uint64_t kPacketBytesMax = 268'435'455 + 5;  // MQTT 1.5.5 and the fixed header

struct OfOptions {
    static Options& of(Target target) { return target.options; }
};
struct OfListener {
    static ListenerOptions& of(Target target) { return target.listener; }
};

/// The field that `Root::of(target).*path...` names.
template <class Root, auto... path>
struct At {
    using T = std::remove_reference_t<decltype((Root::of(std::declval<Target>()).*....*path))>;

    static T& access(Target target) { return (Root::of(target).*....*path); }
    static std::uint8_t get(Target target) { return static_cast<std::uint8_t>(access(target)); }
    static void set(Target target, std::uint8_t value) { access(target) = static_cast<T>(value); }

    static constexpr auto field() {
        if constexpr (std::is_enum_v<T>) {
            return ChoiceAccessor{.get = &get, .set = &set};
        } else {
            return Accessor<T>{&access};
        }
    }
};

template <auto... path>
constexpr auto option() {
    return At<OfOptions, path...>::field();
}

template <auto... path>
constexpr auto listener() {
    return At<OfListener, path...>::field();
}

std::vector<Key> node_keys() {
    return {
        {.path = "node.name",
         .kind = Kind::text,
         .field = option<&Options::node, &NodeOptions::name>(),
         .check = check_node_name,
         .description = "Name of this broker in `$SYS`, metrics and logs."},
        {.path = "node.shards",
         .kind = Kind::count,
         .field = option<&Options::node, &NodeOptions::shards>(),
         .max = 64,
         .description = "Threads that serve clients, each with its own clients. 0: one per core."},
        {.path = "node.data_dir",
         .kind = Kind::text,
         .field = option<&Options::node, &NodeOptions::data_dir>(),
         .check = check_data_directory,
         .description = "Directory of the store, made if it is missing. `:memory:` keeps nothing."},
        {.path = "node.sys_interval",
         .kind = Kind::duration,
         .field = option<&Options::node, &NodeOptions::sys_interval>(),
         .max = 60 * kMinute,
         .description = "How often `$SYS/broker/...` is renewed. 0: it stays empty."},
    };
}

std::vector<Key> listener_keys() {
    return {
        {.path = "listener.url",
         .kind = Kind::url,
         .field = listener<&ListenerOptions::url>(),
         .description = "Where to listen: `mqtt://host:port`, `mqtts://`, `ws://host:port/path`, "
                        "`wss://`, `http://`, `https://` (docs/http.md), `unix:///path`, "
                        "`auto://` (all but the last on one port, told apart by the first bytes). "
                        "Port 0 picks a free one."},
        {.path = "listener.proxy_protocol",
         .kind = Kind::boolean,
         .field = listener<&ListenerOptions::proxy_protocol>(),
         .description = "Demand a PROXY header (version 1 or 2) of `trusted_proxies`; others are "
                        "served without one."},
        {.path = "listener.trusted_proxies",
         .kind = Kind::list,
         .field = listener<&ListenerOptions::trusted_proxies>(),
         .check = check_network,
         .description = "Addresses and networks (`10.0.0.0/8`) whose PROXY header and "
                        "X-Forwarded-For are believed."},
        {.path = "listener.allowed_origins",
         .kind = Kind::list,
         .field = listener<&ListenerOptions::allowed_origins>(),
         .check = check_not_empty,
         .description = "Web sites (`https://example.org`) whose pages may open a WebSocket. "
                        "Empty: all."},
        {.path = "listener.max_connections",
         .kind = Kind::count,
         .field = listener<&ListenerOptions::connections_max>(),
         .max = kMany,
         .description = "Connections of this listener at a time. 0: no bound of its own."},
        {.path = "listener.connects_per_second_max",
         .kind = Kind::count,
         .field = listener<&ListenerOptions::connects_per_second_max>(),
         .max = kMany,
         .description = "New connections of this listener a second, whatever they speak; more are "
                        "closed before TLS and CONNACK. 0: no bound of its own."},
    };
}

std::vector<Key> tls_keys() {
    return {
        {.path = "listener.tls.certificate",
         .kind = Kind::text,
         .field = listener<&ListenerOptions::tls, &TlsOptions::certificate_file>(),
         .applies = Applies::at_reload,
         .description = "PEM file: the server's certificate and the chain above it."},
        {.path = "listener.tls.key",
         .kind = Kind::text,
         .field = listener<&ListenerOptions::tls, &TlsOptions::key_file>(),
         .applies = Applies::at_reload,
         .description = "PEM file: the private key of the certificate."},
        {.path = "listener.tls.more_certificates",
         .kind = Kind::list,
         .field = listener<&ListenerOptions::tls, &TlsOptions::more_certificates>(),
         .check = check_file_pair,
         .applies = Applies::at_reload,
         .description = "Further ones as `certificate:key`, for clients that ask for a host (SNI) "
                        "which one of them is for."},
        {.path = "listener.tls.client_ca",
         .kind = Kind::text,
         .field = listener<&ListenerOptions::tls, &TlsOptions::client_ca_file>(),
         .applies = Applies::at_reload,
         .description = "PEM file: the authorities that sign client certificates."},
        {.path = "listener.tls.client_crl",
         .kind = Kind::text,
         .field = listener<&ListenerOptions::tls, &TlsOptions::client_crl_file>(),
         .applies = Applies::at_reload,
         .description = "PEM file: client certificates that are revoked."},
        {.path = "listener.tls.client_certificate",
         .kind = Kind::choice,
         .field = listener<&ListenerOptions::tls, &TlsOptions::client_certificate>(),
         .choices = {"none", "optional", "required"},
         .applies = Applies::at_reload,
         .description = "Whether clients show a certificate; its common name is then the user. "
                        "`required` also closes `auto://` to plain MQTT and WebSockets."},
        {.path = "listener.tls.min_version",
         .kind = Kind::choice,
         .field = listener<&ListenerOptions::tls, &TlsOptions::version_min>(),
         .choices = {"1.2", "1.3"},
         .applies = Applies::at_reload,
         .description = "Oldest version of TLS that is spoken."},
        {.path = "listener.tls.ciphers",
         .kind = Kind::text,
         .field = listener<&ListenerOptions::tls, &TlsOptions::ciphers>(),
         .applies = Applies::at_reload,
         .description = "Ciphers of TLS 1.2 as OpenSSL writes them. Empty: those with forward "
                        "secrecy and authenticated encryption."},
    };
}

std::vector<Key> store_keys() {
    return {
        {.path = "store.acknowledge_after",
         .kind = Kind::choice,
         .field = option<&Options::store, &StoreOptions::acknowledge_after>(),
         .choices = {"disk", "os", "memory"},
         .description = "What an acknowledgement means. `disk`: survives a power cut; `os`: "
                        "survives a kill of the process; `memory`: neither."},
        {.path = "store.max_age",
         .kind = Kind::duration,
         .field = option<&Options::store, &StoreOptions::age_max>(),
         .min = kMinute,
         .max = kCentury,
         .description =
             "Messages that wait longer for a durable session are lost to it, and it is told."},
        {.path = "store.max_bytes",
         .kind = Kind::size,
         .field = option<&Options::store, &StoreOptions::bytes_max>(),
         .min = std::uint64_t{1} << 20U,
         .max = kBytesMax,
         .description =
             "Bytes of waiting messages on disk. Before the bound is reached the sessions "
             "that need the oldest lose them and are told; at the bound QoS 1, QoS 2 and "
             "retained publishes are refused."},
        {.path = "store.min_free_bytes",
         .kind = Kind::size,
         .field = option<&Options::store, &StoreOptions::disk_free_bytes_min>(),
         .max = kBytesMax,
         .description = "Free space of the disk below which publishes are refused."},
        {.path = "store.segment_bytes",
         .kind = Kind::size,
         .field = option<&Options::store, &StoreOptions::segment_bytes_max>(),
         .min = 4096,
         .max = std::uint64_t{1} << 30U,
         .description = "Size at which a file of the log is closed and the next one begun. Space "
                        "comes back a file at a time."},
        {.path = "store.missing_segments",
         .kind = Kind::choice,
         .field = option<&Options::store, &StoreOptions::missing_segments>(),
         .choices = {"refuse", "accept"},
         .description = "A full file of the log is gone at the start. `refuse`: so is the start, "
                        "until it has been put back; `accept`: what waited in it is lost, and the "
                        "sessions that wanted it are told. Accepted once is accepted for good."},
    };
}

/// Of what is on its way or waits.
std::vector<Key> message_limit_keys() {
    return {
        {.path = "limits.packet_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::packet_bytes_max>(),
         .min = 1024,
         .max = kPacketBytesMax,
         .description = "Largest packet taken from a client (announced to 5.0 clients)."},
        {.path = "limits.receive_maximum",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::receive_maximum>(),
         .min = 1,
         .max = 65'535,
         .description = "QoS 1 and 2 messages a client may have in flight towards the broker "
                        "(announced to 5.0 clients)."},
        {.path = "limits.inflight_maximum",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::inflight_maximum>(),
         .min = 1,
         .max = 65'535,
         .description = "QoS 1 and 2 messages in flight towards a client, unless it says less."},
        {.path = "limits.inflight_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::inflight_bytes_max>(),
         .min = 1024,
         .max = kBytesMax,
         .description = "Bytes of them; one more message is always admitted."},
        {.path = "limits.session_backlog_messages_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::session_backlog_messages_max>(),
         .min = 1,
         .max = kMany,
         .description =
             "Messages that wait for one durable session; beyond it the session loses the "
             "oldest and is told. Also for one shared subscription whose members are "
             "away; beyond it new ones are dropped."},
        {.path = "limits.session_backlog_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::session_backlog_bytes_max>(),
         .min = 1024,
         .max = kBytesMax,
         .description = "Bytes that wait for one durable session, likewise."},
        {.path = "limits.transient_queue_messages_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::transient_queue_messages_max>(),
         .min = 1,
         .max = kMany,
         .description = "Messages that wait for one transient session whose window is full."},
        {.path = "limits.transient_queue_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::transient_queue_bytes_max>(),
         .min = 1024,
         .max = kBytesMax,
         .description = "Bytes that wait for one transient session whose window is full."},
    };
}

std::vector<Key> session_limit_keys() {
    return {
        {.path = "limits.session_expiry_max",
         .kind = Kind::duration,
         .field = option<&Options::limits, &LimitOptions::session_expiry_max>(),
         .max = kCentury,
         .description = "Longest a session is kept for a client that is away; also for 3.1.1 "
                        "clients with Clean Session 0. 0: sessions end with their connection."},
        {.path = "limits.subscriptions_per_session_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::subscriptions_per_session_max>(),
         .min = 1,
         .max = kMany,
         .description = "Subscriptions of one session."},
        {.path = "limits.topic_levels_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::topic_levels_max>(),
         .min = 1,
         .max = 64,
         .description = "Levels (`a/b/c` has three) of a topic name or filter."},
        {.path = "limits.topic_aliases_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::topic_aliases_max>(),
         .max = 65'535,
         .description = "Topic aliases per connection and direction. 0: none."},
    };
}

std::vector<Key> connection_limit_keys() {
    return {
        {.path = "limits.keepalive_max",
         .kind = Kind::duration,
         .field = option<&Options::limits, &LimitOptions::keepalive_max>(),
         .max = 65'535'000,
         .description = "Longest keep alive; 5.0 clients are told a shorter one. 0: the client's."},
        {.path = "limits.outbox_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::outbox_bytes_max>(),
         .min = 4096,
         .max = kBytesMax,
         .description = "Unsent bytes per connection (one packet is always admitted). Past it "
                        "QoS 0 is dropped and counted, QoS 1 and 2 wait."},
        {.path = "limits.connect_timeout",
         .kind = Kind::duration,
         .field = option<&Options::limits, &LimitOptions::connect_timeout>(),
         .min = 100,
         .max = 60 * kMinute,
         .description = "Time from the connection to a complete CONNECT, and again for each AUTH "
                        "packet behind it."},
        {.path = "limits.connects_per_second_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::connects_per_second_max>(),
         .max = kMany,
         .description = "New connections a second, less those of `http://` and `https://` "
                        "listeners; more are shed before CONNACK. 0: no bound."},
        {.path = "limits.connections_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::connections_max>(),
         .max = kMany,
         .description = "Connections at a time, of all listeners but `http://` and `https://`, "
                        "which have 512 of their own; more are closed at once. 0: as many as the "
                        "process may have descriptors."},
        {.path = "limits.connections_per_address_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::connections_per_address_max>(),
         .max = kMany,
         .description = "Connections at a time from one address (of IPv6: one /64); more are "
                        "closed before TLS. What a trusted proxy says counts; loopback does not. "
                        "0: no bound."},
        {.path = "limits.connects_per_second_per_address_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::connects_per_second_per_address_max>(),
         .max = kMany,
         .description = "New connections a second from one address, likewise. 0: no bound."},
        {.path = "limits.messages_per_second_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::messages_per_second_max>(),
         .max = kMany,
         .description =
             "Messages a second from one client; past it reading pauses (HTTP: 429). 0: no "
             "bound."},
        {.path = "limits.retained_messages_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::retained_messages_max>(),
         .max = kMany,
         .description = "Retained messages of the whole broker."},
        {.path = "limits.retained_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::retained_bytes_max>(),
         .min = 1024,
         .max = kBytesMax,
         .description = "Their bytes, which are in memory as well as on disk."},
        {.path = "limits.sessions_max",
         .kind = Kind::count,
         .field = option<&Options::limits, &LimitOptions::sessions_max>(),
         .min = 1,
         .max = kMany,
         .description = "Sessions of the whole broker; beyond it no new one is made that would "
                        "outlive its connection."},
        {.path = "limits.sessions_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::limits, &LimitOptions::sessions_bytes_max>(),
         .min = 1024,
         .max = kBytesMax,
         .description = "Memory for the identifiers and filters of all sessions; beyond it those "
                        "that take more than an equal part get no more."},
    };
}

std::vector<Key> auth_keys() {
    return {
        {.path = "auth.anonymous",
         .kind = Kind::choice,
         .field = option<&Options::auth, &AuthOptions::anonymous>(),
         .choices = {"never", "loopback", "always"},
         .applies = Applies::at_reload,
         .description = "Who may connect without a name: nobody, clients of listeners bound to "
                        "loopback, or everybody."},
        {.path = "auth.password_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::password_file>(),
         .applies = Applies::at_reload,
         .description = "Users and password hashes; see `stentor user`. Empty: no users."},
        {.path = "auth.acl_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::acl_file>(),
         .applies = Applies::at_reload,
         .description = "Who may publish and subscribe to what, in Mosquitto's syntax. Empty: "
                        "everybody to everything."},
        {.path = "auth.acl_subscribe",
         .kind = Kind::choice,
         .field = option<&Options::auth, &AuthOptions::acl_subscribe>(),
         .choices = {"refuse", "filter"},
         .applies = Applies::at_reload,
         .description = "A subscription that matches more than is allowed is refused, or granted "
                        "and each message checked at delivery (as Mosquitto does)."},
        {.path = "auth.ban_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::ban_file>(),
         .applies = Applies::at_reload,
         .description = "Clients, users and addresses that are banned; read again when it "
                        "changes. Empty: nobody."},
        {.path = "auth.failures_per_address_max",
         .kind = Kind::count,
         .field = option<&Options::auth, &AuthOptions::failures_per_address_max>(),
         .max = 1'000'000,
         .applies = Applies::at_reload,
         .description = "Failed authentications from one address (of IPv6: one /64) until further "
                        "attempts are refused unheard. 0: no bound."},
        {.path = "auth.failures_per_user_max",
         .kind = Kind::count,
         .field = option<&Options::auth, &AuthOptions::failures_per_user_max>(),
         .max = 1'000'000,
         .applies = Applies::at_reload,
         .description = "Failed authentications for one user name, from one address or from all, "
                        "until addresses that have failed for that name are refused for it. 0: no "
                        "bound."},
        {.path = "auth.failure_forgotten_after",
         .kind = Kind::duration,
         .field = option<&Options::auth, &AuthOptions::failure_forgotten_after>(),
         .min = 100,
         .max = kDay,
         .applies = Applies::at_reload,
         .description = "After this time one failed authentication of a user is forgotten, after "
                        "as much again the next; those of an address ten times as fast."},
    };
}

std::vector<Key> jwt_keys() {
    return {
        {.path = "auth.jwt.key_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::key_file>(),
         .applies = Applies::at_reload,
         .description =
             "What tokens are verified with: a public key in PEM, or a shared secret (any "
             "other file; 32 bytes or more). Read again when it changes."},
        {.path = "auth.jwt.jwks_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::jwks_file>(),
         .applies = Applies::at_reload,
         .description =
             "The same as a set of keys (JWKS), chosen by `kid`. Both files may be given."},
        {.path = "auth.jwt.algorithms",
         .kind = Kind::list,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::algorithms>(),
         .check = check_jwt_algorithm,
         .applies = Applies::at_reload,
         .description =
             "Algorithms that are accepted, for example `ES256`. Empty: all that fit the keys."},
        {.path = "auth.jwt.issuer",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::issuer>(),
         .applies = Applies::at_reload,
         .description = "Required `iss` of a token. Empty: any."},
        {.path = "auth.jwt.audience",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::audience>(),
         .applies = Applies::at_reload,
         .description = "What `aud` of a token has to name. Empty: anything."},
        {.path = "auth.jwt.leeway",
         .kind = Kind::duration,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::leeway>(),
         .max = kDay,
         .applies = Applies::at_reload,
         .description = "How far the clocks of others may be off, for `exp`, `nbf` and `iat`."},
        {.path = "auth.jwt.user_claim",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::user_claim>(),
         .check = check_not_empty,
         .applies = Applies::at_reload,
         .description = "The claim whose value is the user's name, in rules and in `http.admins`."},
        {.path = "auth.jwt.user_must_match",
         .kind = Kind::boolean,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::user_must_match>(),
         .applies = Applies::at_reload,
         .description = "The user name of CONNECT must be the same. Otherwise it may be anything."},
        {.path = "auth.jwt.client_id_claim",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::client_id_claim>(),
         .applies = Applies::at_reload,
         .description = "A claim that must be there and equal the client identifier. Empty: none."},
        {.path = "auth.jwt.acl_claim",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::acl_claim>(),
         .applies = Applies::at_reload,
         .description =
             "The claim with the rules of the token's bearer. Empty: the ACL file alone decides."},
        {.path = "auth.jwt.roles_claim",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::roles_claim>(),
         .applies = Applies::at_reload,
         .description = "The claim that names the bearer's roles in the ACL file. Empty: none."},
        {.path = "auth.jwt.expiry_required",
         .kind = Kind::boolean,
         .field = option<&Options::auth, &AuthOptions::jwt, &JwtOptions::expiry_required>(),
         .applies = Applies::at_reload,
         .description = "A token without `exp` is refused."},
    };
}

std::vector<Key> auth_http_keys() {
    return {
        {.path = "auth.http.url",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::url>(),
         .check = check_service_url,
         .applies = Applies::at_reload,
         .description = "Web service (`http://` or `https://`) that is asked about each client: "
                        "who it is, what it may do, until when. Empty: none."},
        {.path = "auth.http.timeout",
         .kind = Kind::duration,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::timeout>(),
         .min = 100,
         .max = kMinute,
         .applies = Applies::at_reload,
         .description = "How long its answer may take; then the client is told to come back "
                        "later."},
        {.path = "auth.http.cache",
         .kind = Kind::duration,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::cache>(),
         .max = kDay,
         .applies = Applies::at_reload,
         .description = "How long an answer that lets a client in is remembered. 0: no answer "
                        "is."},
        {.path = "auth.http.cache_refusals",
         .kind = Kind::duration,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::cache_refusals>(),
         .max = kDay,
         .applies = Applies::at_reload,
         .description = "The same of the answers `deny` and `ignore`; no longer than `cache`."},
        {.path = "auth.http.cache_bytes_max",
         .kind = Kind::size,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::cache_bytes_max>(),
         .max = kBytesMax,
         .applies = Applies::at_reload,
         .description = "Memory for that; the answer that was used longest ago gives way."},
        {.path = "auth.http.connections_max",
         .kind = Kind::count,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::connections_max>(),
         .min = 1,
         .max = 64,
         .applies = Applies::at_reload,
         .description = "Connections to the service, and so questions at a time. Others wait "
                        "for one."},
        {.path = "auth.http.ca_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::ca_file>(),
         .applies = Applies::at_reload,
         .description = "PEM file: the authorities that sign the service's certificate. Empty: "
                        "the system's."},
        {.path = "auth.http.headers_file",
         .kind = Kind::text,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::headers_file>(),
         .applies = Applies::at_reload,
         .description = "File with header fields for the questions, `Name: value` a line, for "
                        "example an `Authorization`."},
        {.path = "auth.http.certificates",
         .kind = Kind::boolean,
         .field = option<&Options::auth, &AuthOptions::http, &HttpAuthOptions::certificates>(),
         .applies = Applies::at_reload,
         .description = "Ask about clients that have shown a certificate, too. Otherwise the "
                        "certificate is enough."},
    };
}

std::vector<Key> remaining_keys() {
    return {
        {.path = "http.admins",
         .kind = Kind::list,
         .field = option<&Options::http, &HttpOptions::admins>(),
         .check = check_admin,
         .applies = Applies::at_reload,
         .description = "Who may see `$SYS` and administer, as `authenticator:name`."},
        {.path = "http.cors_origins",
         .kind = Kind::list,
         .field = option<&Options::http, &HttpOptions::cors_origins>(),
         .check = check_origin,
         .description = "Web sites (`https://example.org`) whose pages may ask the HTTP API, as "
                        "whoever they say they are. Empty: none but the broker's own."},
        {.path = "http.backup_dir",
         .kind = Kind::text,
         .field = option<&Options::http, &HttpOptions::backup_folder>(),
         .description = "Directory for the backups that `POST /v1/node/backup` makes, each below "
                        "it and nowhere else. It has to exist. Empty: none are made."},
        {.path = "logging.level",
         .kind = Kind::choice,
         .field = option<&Options::logging, &LoggingOptions::level>(),
         .choices = {"trace", "debug", "info", "warn", "error"},
         .applies = Applies::at_reload,
         .description = "Least important line that is written."},
        {.path = "logging.format",
         .kind = Kind::choice,
         .field = option<&Options::logging, &LoggingOptions::format>(),
         .choices = {"auto", "text", "json"},
         .description = "`auto`: text on a terminal, otherwise one JSON object a line."},
    };
}

}  // namespace

const std::vector<Key>& keys() {
    static const std::vector<Key> kKeys = [] {
        std::vector<Key> all;
        for (auto part : {node_keys(),
                          listener_keys(),
                          tls_keys(),
                          store_keys(),
                          message_limit_keys(),
                          session_limit_keys(),
                          connection_limit_keys(),
                          auth_keys(),
                          jwt_keys(),
                          auth_http_keys(),
                          remaining_keys()}) {
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    }();
    return kKeys;
}

const std::vector<Section>& sections() {
    static const std::vector<Section> kSections{
        {"node", "The broker itself."},
        {"listener", "A door for clients; `[[listener]]` may stand as often as there are doors."},
        {"listener.tls", "Certificates of one listener: `tls = { certificate = ..., key = ... }`."},
        {"store", "Messages that wait for clients that are away."},
        {"limits", "Bounds, and with them what one client can cost the others."},
        {"auth", "Who may come in, and what they may do."},
        {"auth.jwt", "Signed tokens as passwords (JWT); on as soon as there are keys."},
        {"auth.http",
         "A web service that knows the users (docs/operations.md says what it is asked)."},
        {"http", "HTTP API, dashboard and metrics."},
        {"logging", "What is written to standard error."},
    };
    return kSections;
}

const Key* find_key(std::string_view path) noexcept {
    const auto found = std::find_if(
        keys().begin(), keys().end(), [&](const Key& key) { return key.path == path; });
    return found == keys().end() ? nullptr : &*found;
}

std::string_view Key::section() const noexcept { return path.substr(0, path.rfind('.')); }

std::string_view Key::name() const noexcept { return path.substr(path.rfind('.') + 1); }

bool Key::of_listener() const noexcept { return path.starts_with("listener."); }

}  // namespace stentor::config
