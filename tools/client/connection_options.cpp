#include "tools/client/connection_options.hpp"

#include "base/random.hpp"
#include "protocol/topic/validate.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace stentor::tools {
namespace {

using mqtt::Property;
using mqtt::ProtocolVersion;

constexpr std::uint32_t kForEver = std::numeric_limits<std::uint32_t>::max();

Usage take_expiry(std::optional<std::uint32_t>& seconds, ArgumentValues& values) {
    STENTOR_TRY(const auto text, values.next("a number of seconds"));
    if (text == "-1" || text == "∞") {
        seconds = kForEver;
        return {};
    }
    STENTOR_TRY(const auto number, parse_number(text, 0, kForEver));
    seconds = static_cast<std::uint32_t>(number);
    return {};
}

Usage take_timeout(double& seconds, ArgumentValues& values) {
    STENTOR_TRY(const auto text, values.next("a number of seconds"));
    STENTOR_TRY(seconds, parse_seconds(text));
    return {};
}

Usage take_tls_version(std::string& version, ArgumentValues& values) {
    STENTOR_TRY(const auto text, values.next("the version"));
    if (text != "tlsv1.2" && text != "tlsv1.3") {
        return UsageError{fmt::format("'{}' is not a version we use", text), "tlsv1.2 or tlsv1.3"};
    }
    version = text;
    return {};
}

/// A text that goes into a packet as a string.
Usage check_length(std::string_view option, const std::optional<std::string>& text) {
    if (text && text->size() > mqtt::kStringBytesMax) {
        return UsageError{fmt::format("{} is longer than {} bytes", option, mqtt::kStringBytesMax)};
    }
    return {};
}

Result<Address, UsageError> address_of(const ConnectionOptions& options, Connection& connection) {
    const int ways = (options.host || options.port ? 1 : 0) + (options.url.empty() ? 0 : 1) +
                     (options.unix_path.empty() ? 0 : 1);
    if (ways > 1) {
        return UsageError{"-h and -p, -L and --unix exclude each other",
                          "the URL behind -L holds host and port"};
    }
    Address address;
    if (!options.unix_path.empty()) {
        address.scheme = Scheme::unix_socket;
        address.host.clear();
        address.port = 0;
        address.path = options.unix_path;
        return address;
    }
    if (!options.url.empty()) {
        STENTOR_TRY(auto url, parse_broker_url(options.url));
        if (url.user_name && !options.user_name) {
            connection.client.user_name = std::move(url.user_name);
        }
        if (url.password && !options.password) {
            connection.client.password = to_owned(as_bytes(*url.password));
        }
        connection.url_topic = std::move(url.topic);
        return std::move(url.address);
    }
    address.scheme = asks_for_tls(options.tls, options.port) ? Scheme::mqtts : Scheme::mqtt;
    if (options.host) address.host = *options.host;
    address.port = options.port.value_or(default_port(address.scheme));
    return address;
}

Result<std::string, UsageError> client_id_of(const ConnectionOptions& options,
                                             ProtocolVersion version) {
    const auto id = [](std::string text) {
        return Result<std::string, UsageError>{boost::system::in_place_value, std::move(text)};
    };
    if (options.client_id && options.client_id_prefix) {
        return UsageError{"-i and -I exclude each other"};
    }
    const bool for_ever = options.keep_session || options.session_expiry_seconds == kForEver;
    if (for_ever && (!options.client_id || options.client_id->empty())) {
        return UsageError{"a session that is kept needs a client identifier",
                          "choose one with -i; it names the session next time"};
    }
    if (options.client_id) return id(*options.client_id);
    if (options.client_id_prefix) {
        return id(fmt::format("{}{}", *options.client_id_prefix, ::getpid()));
    }
    if (version == ProtocolVersion::v5) return id("");  // the broker assigns one
    // 23 letters and digits, which every broker takes [MQTT-3.1.3-5].
    return id(fmt::format("stentor{:016x}", random_seed()));
}

Usage add_will(const ConnectionOptions& options, mqtt::ClientOptions& client) {
    if (!options.will_topic) {
        if (options.will_payload || options.will_retain || options.will_qos != 0 ||
            !options.properties.will.bytes().empty()) {
            return UsageError{"a will needs a topic", "name it with --will-topic"};
        }
        return {};
    }
    if (mqtt::check_topic_name(*options.will_topic) != mqtt::TopicCheck::ok) {
        return UsageError{
            fmt::format("--will-topic: '{}' is not a topic name", *options.will_topic),
            "topics are not empty and hold no '+' and no '#'"};
    }
    STENTOR_TRY_VOID(check_length("--will-payload", options.will_payload));
    client.will = mqtt::ClientWill{.topic = *options.will_topic,
                                   .payload = to_owned(as_bytes(options.will_payload.value_or(""))),
                                   .qos = static_cast<mqtt::QoS>(options.will_qos),
                                   .retain = options.will_retain,
                                   .properties = to_owned(options.properties.will.bytes())};
    return {};
}

Usage add_connect_properties(const ConnectionOptions& options, mqtt::ClientOptions& client) {
    mqtt::PropertyWriter block;
    for (const auto& entry : mqtt::PropertyEntries{options.properties.connect.bytes()}) {
        if (entry.id == Property::authentication_method) {
            return UsageError{"enhanced authentication needs a program that can answer",
                              "-u and -P give a user name and password"};
        }
        block.entry(entry);
    }
    const auto given = mqtt::parse_properties(block.bytes(), mqtt::PropertyContext::connect);
    if (const auto expiry = options.session_expiry_seconds) {
        if (given->has(Property::session_expiry_interval)) {
            return UsageError{"-x and -D connect session-expiry-interval exclude each other"};
        }
        block.number(Property::session_expiry_interval, *expiry);
    } else if (options.keep_session && !given->has(Property::session_expiry_interval)) {
        block.number(Property::session_expiry_interval, kForEver);
    }
    client.connect_properties = to_owned(block.bytes());
    return {};
}

OptionGroup connection_group(ConnectionOptions& o) {
    return {
        "Connection",
        {{"-h", "--host", "HOST", "the broker's name or address (localhost)", take(o.host)},
         {"-p", "--port", "PORT", "its port (1883; 8883 with TLS)", take_number(o.port, 1, 65'535)},
         {"-L",
          "--url",
          "URL",
          "mqtt://[user[:password]@]host[:port][/topic], mqtts://..., ws://host:port/mqtt, "
          "wss://..., unix:///path; instead of -h and -p",
          take(o.url)},
         {"", "--unix", "PATH", "connect to a Unix domain socket", take(o.unix_path)},
         {"-u", "--username", "NAME", "user name", take(o.user_name)},
         {"-P", "--pw", "PASSWORD", "password", take(o.password)},
         {"-i", "--id", "ID", "client identifier (the broker chooses one)", take(o.client_id)},
         {"-I", "--id-prefix", "PREFIX", "PREFIX and the process id", take(o.client_id_prefix)},
         {"-V", "--protocol-version", "5|311", "MQTT version (5)", take_version(o.version)},
         {"-k",
          "--keepalive",
          "SECONDS",
          "keep alive (60; 0 turns it off)",
          take_number(o.keep_alive_seconds, 0, 65'535)},
         {"-c",
          "--disable-clean-session",
          "",
          "resume the session of this client identifier and keep it afterwards",
          set(o.keep_session)},
         {"-x",
          "--session-expiry-interval",
          "SECONDS",
          "how long the broker keeps the session after the end; -1 for ever (with -c: -1, else 0)",
          [&o](ArgumentValues& values) { return take_expiry(o.session_expiry_seconds, values); }},
         {"-D",
          "--property",
          "PACKET NAME VALUE",
          "an MQTT 5 property, for example: -D publish content-type text/plain, "
          "-D connect user-property NAME VALUE; may be repeated",
          [&o](ArgumentValues& values) { return o.properties.add(values); }},
         {"-A", "", "ADDRESS", "local address to connect from", take(o.bind_address)},
         {"",
          "--connect-timeout",
          "SECONDS",
          "for name, connection and TLS together (10)",
          [&o](ArgumentValues& values) { return take_timeout(o.connect_timeout_seconds, values); }},
         {"",
          "--nodelay",
          "",
          "always on; taken for scripts that name it",
          [](ArgumentValues& /*values*/) -> Usage { return {}; }}}};
}

OptionGroup will_group(ConnectionOptions& o) {
    return {
        "Will",
        {{"", "--will-topic", "TOPIC", "published if we go without goodbye", take(o.will_topic)},
         {"", "--will-payload", "TEXT", "its payload (empty)", take(o.will_payload)},
         {"", "--will-qos", "0|1|2", "its QoS (0)", take_number(o.will_qos, 0, 2)},
         {"", "--will-retain", "", "retain it", set(o.will_retain)}}};
}

OptionGroup other_group(ConnectionOptions& o) {
    return {"Other",
            {{"-d", "--debug", "", "say on stderr what happens", set(o.debug)},
             {"", "--quiet", "", "no messages on stderr, except about usage", set(o.quiet)},
             {"", "--help", "", "this text", set(o.help)}}};
}

}  // namespace

OptionGroup tls_group(TlsOptions& tls) {
    return {
        "TLS",
        {{"", "--cafile", "FILE", "authorities to trust (PEM); turns TLS on", take(tls.ca_file)},
         {"", "--capath", "DIR", "the same, a hashed directory", take(tls.ca_path)},
         {"",
          "--tls-use-os-certs",
          "",
          "trust the system's authorities (so do mqtts:// and wss:// without --cafile)",
          set(tls.use_system_cas)},
         {"", "--cert", "FILE", "our certificate (PEM)", take(tls.certificate_file)},
         {"", "--key", "FILE", "its private key (PEM)", take(tls.key_file)},
         {"",
          "--insecure",
          "",
          "do not compare the certificate with the host name; without --cafile, check nothing",
          set(tls.insecure)},
         {"", "--ciphers", "LIST", "OpenSSL's list for TLS 1.2", take(tls.ciphers)},
         {"",
          "--tls-version",
          "VERSION",
          "oldest to use: tlsv1.2 or tlsv1.3 (tlsv1.2)",
          [&tls](ArgumentValues& values) { return take_tls_version(tls.version_min, values); }},
         {"", "--tls-alpn", "NAME", "ALPN protocol (mqtt)", take(tls.alpn)}}};
}

bool asks_for_tls(const TlsOptions& tls, std::optional<std::uint16_t> port) {
    return !tls.ca_file.empty() || !tls.ca_path.empty() || tls.use_system_cas ||
           !tls.certificate_file.empty() || port == 8883;
}

Usage check_key(const TlsOptions& tls) {
    if (tls.key_file.empty() == tls.certificate_file.empty()) return {};
    return UsageError{"--cert and --key belong together"};
}

std::vector<OptionGroup> ConnectionOptions::groups() {
    return {connection_group(*this), will_group(*this), tls_group(tls), other_group(*this)};
}

std::vector<RefusedOption> ConnectionOptions::refused() {
    constexpr std::string_view kPsk = "use certificates: --cafile, --cert and --key";
    constexpr std::string_view kEngine = "keys come from PEM files: --key";
    return {{"-S", "look up the SRV record yourself and give -h and -p"},
            {"--proxy", "no SOCKS; a tunnel such as ssh -L does it"},
            {"--psk", kPsk},
            {"--psk-identity", kPsk},
            {"--tls-engine", kEngine},
            {"--tls-engine-kpass-sha1", kEngine},
            {"--keyform", kEngine}};
}

Result<Connection, UsageError> prepare(const ConnectionOptions& options) {
    Connection connection;
    auto& client = connection.client;
    client.version = options.version.value_or(ProtocolVersion::v5);
    if (client.version == ProtocolVersion::v3_1_1) {
        if (!options.properties.empty()) return UsageError{"-D needs MQTT 5", "leave -V 311 out"};
        if (options.session_expiry_seconds) {
            return UsageError{"-x needs MQTT 5", "in 3.1.1, -c alone keeps the session"};
        }
        if (options.password && !options.user_name) {
            return UsageError{"a password needs a user name in MQTT 3.1.1", "add -u"};
        }
    }
    STENTOR_TRY_VOID(check_key(options.tls));
    STENTOR_TRY_VOID(check_length("-u", options.user_name));
    STENTOR_TRY_VOID(check_length("-P", options.password));
    STENTOR_TRY_VOID(check_length("-i", options.client_id));
    STENTOR_TRY(connection.runner.connect.address, address_of(options, connection));
    STENTOR_TRY(client.client_id, client_id_of(options, client.version));
    if (options.user_name) client.user_name = options.user_name;
    if (options.password) client.password = to_owned(as_bytes(*options.password));
    client.keep_alive_seconds = options.keep_alive_seconds;
    STENTOR_TRY_VOID(add_will(options, client));
    STENTOR_TRY_VOID(add_connect_properties(options, client));
    // A resumed session may still know QoS 2 identifiers of an earlier run, which would make the
    // broker take a new message for an old one.
    client.first_packet_id = PacketId{static_cast<std::uint16_t>(1 + random_seed() % 65'535U)};

    auto& runner = connection.runner;
    runner.clean_start = options.keep_session ? mqtt::CleanStart::no : mqtt::CleanStart::yes;
    runner.connect.tls = options.tls;
    runner.connect.bind_address = options.bind_address;
    runner.connect.timeout = std::chrono::milliseconds{std::max<std::int64_t>(
        1, static_cast<std::int64_t>(options.connect_timeout_seconds * 1e3))};
    client.connect_timeout = runner.connect.timeout;
    connection.disconnect_properties = to_owned(options.properties.disconnect.bytes());
    return connection;
}

}  // namespace stentor::tools
