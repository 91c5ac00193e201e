// What each directive of a mosquitto.conf becomes.
#include "base/suggest.hpp"
#include "server/config/mosquitto_importer.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>

namespace stentor::config {
namespace {

constexpr std::uint64_t kUnlimited = 0;  // what 0 means to Mosquitto in all its bounds

}  // namespace

std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

const std::vector<MosquittoImporter::Directive>& MosquittoImporter::directives() {
    static const std::vector<Directive> kDirectives{
        {"listener", &MosquittoImporter::listener, ""},
        {"port", &MosquittoImporter::port, ""},
        {"bind_address", &MosquittoImporter::bind_address, ""},
        {"socket_domain", &MosquittoImporter::socket_domain, ""},
        {"protocol", &MosquittoImporter::protocol, ""},
        {"max_connections", &MosquittoImporter::max_connections, ""},
        {"certfile", &MosquittoImporter::tls_file, "listener.tls.certificate"},
        {"keyfile", &MosquittoImporter::tls_file, "listener.tls.key"},
        {"crlfile", &MosquittoImporter::tls_file, "listener.tls.client_crl"},
        {"ciphers", &MosquittoImporter::tls_file, "listener.tls.ciphers"},
        {"cafile", &MosquittoImporter::cafile, ""},
        {"require_certificate", &MosquittoImporter::require_certificate, ""},
        {"use_identity_as_username", &MosquittoImporter::use_identity_as_username, ""},
        {"tls_version", &MosquittoImporter::tls_version, ""},
        {"persistence", &MosquittoImporter::persistence, ""},
        {"persistence_location", &MosquittoImporter::persistence_location, ""},
        {"persistent_client_expiration", &MosquittoImporter::persistent_client_expiration, ""},
        {"max_inflight_messages", &MosquittoImporter::count, "limits.inflight_maximum"},
        {"max_inflight_bytes", &MosquittoImporter::bytes, "limits.inflight_bytes_max"},
        {"max_queued_messages", &MosquittoImporter::queued_messages, ""},
        {"max_queued_bytes", &MosquittoImporter::queued_bytes, ""},
        {"max_packet_size", &MosquittoImporter::bytes, "limits.packet_bytes_max"},
        {"message_size_limit", &MosquittoImporter::message_size_limit, ""},
        {"max_keepalive", &MosquittoImporter::seconds, "limits.keepalive_max"},
        {"sys_interval", &MosquittoImporter::seconds, "node.sys_interval"},
        {"max_topic_alias", &MosquittoImporter::count, "limits.topic_aliases_max"},
        {"per_listener_settings", &MosquittoImporter::per_listener_settings, ""},
        {"allow_anonymous", &MosquittoImporter::allow_anonymous, ""},
        {"password_file", &MosquittoImporter::password_file, ""},
        {"acl_file", &MosquittoImporter::acl_file, ""},
        {"log_type", &MosquittoImporter::log_type, ""},
        {"log_dest", &MosquittoImporter::log_dest, ""},
        {"connection", &MosquittoImporter::bridge, ""},
        // Nothing to do.
        {"pid_file",
         &MosquittoImporter::needless,
         "not needed: the service manager knows the process"},
        {"user", &MosquittoImporter::needless, "not needed: start it as the user it is to be"},
        {"set_tcp_nodelay", &MosquittoImporter::needless, "always so"},
        {"autosave_interval",
         &MosquittoImporter::needless,
         "not needed: what is acknowledged is on disk"},
        {"autosave_on_changes",
         &MosquittoImporter::needless,
         "not needed: what is acknowledged is on disk"},
        {"persistence_file", &MosquittoImporter::needless, "not needed: the store is a directory"},
        {"dhparamfile",
         &MosquittoImporter::needless,
         "not needed: only ciphers with elliptic curves"},
        {"log_timestamp", &MosquittoImporter::needless, "always so"},
        {"log_timestamp_format",
         &MosquittoImporter::needless,
         "logging.format = \"json\" has ISO 8601"},
        {"log_facility", &MosquittoImporter::needless, "not needed: logs go to stderr"},
        {"connection_messages",
         &MosquittoImporter::needless,
         "logging.level decides what is logged"},
        {"websockets_log_level",
         &MosquittoImporter::needless,
         "logging.level decides what is logged"},
        {"websockets_headers_size",
         &MosquittoImporter::needless,
         "limits.md has the bounds of requests"},
        {"auto_id_prefix",
         &MosquittoImporter::needless,
         "identifiers that the broker gives have no prefix"},
        {"allow_zero_length_clientid",
         &MosquittoImporter::needless_if_true,
         "such clients are always let in"},
        {"retain_available",
         &MosquittoImporter::needless_if_true,
         "retained messages cannot be forbidden"},
        {"upgrade_outgoing_qos", &MosquittoImporter::needless_if_false, "QoS is never raised"},
        {"check_retain_source",
         &MosquittoImporter::needless_if_true,
         "rules hold for retained messages when they are published"},
        {"allow_duplicate_messages",
         &MosquittoImporter::needless_if_false,
         "overlapping subscriptions deliver once"},
        {"max_qos", &MosquittoImporter::missing, "clients may use all QoS"},
        // What is different.
        {"ciphers_tls1.3",
         &MosquittoImporter::missing,
         "the ciphers of TLS 1.3 cannot be chosen: all are good"},
        {"capath",
         &MosquittoImporter::missing,
         "put the authorities into one file: listener.tls.client_ca"},
        {"use_subject_as_username",
         &MosquittoImporter::missing,
         "the common name is the user, never all of it"},
        {"use_username_as_clientid", &MosquittoImporter::missing, "there is nothing like it"},
        {"clientid_prefixes",
         &MosquittoImporter::missing,
         "there is nothing like it; rules may use %c"},
        {"mount_point", &MosquittoImporter::leave_out, "topics are the same at all listeners"},
        {"bind_interface",
         &MosquittoImporter::missing,
         "name the interface's address in listener.url"},
        {"http_dir", &MosquittoImporter::missing, "no files are served"},
        {"tls_engine", &MosquittoImporter::missing, "keys come from files only"},
        {"tls_engine_kpass_sha1", &MosquittoImporter::missing, "keys come from files only"},
        {"tls_keyform", &MosquittoImporter::missing, "keys come from files only"},
        {"psk_hint",
         &MosquittoImporter::leave_out,
         "there are no pre-shared keys: use certificates"},
        {"psk_file", &MosquittoImporter::missing, "no pre-shared keys: use certificates"},
        {"memory_limit",
         &MosquittoImporter::missing,
         "limits.md lists the bounds; MemoryMax= of systemd"},
        {"queue_qos0_messages",
         &MosquittoImporter::needless_if_false,
         "QoS 0 does not wait for who is away"},
        {"auth_plugin", &MosquittoImporter::plugin, "see [auth.http] and [auth.jwt]"},
        {"auth_plugin_deny_special_chars",
         &MosquittoImporter::missing,
         "see [auth.http] and [auth.jwt]"},
        {"plugin", &MosquittoImporter::plugin, "see [auth.http] and [auth.jwt]"},
    };
    return kDirectives;
}

namespace {

/// Of a bridge, behind `connection`.
bool is_of_bridge(std::string_view name) {
    static constexpr std::string_view kNames[] = {"address",
                                                  "addresses",
                                                  "topic",
                                                  "cleansession",
                                                  "clientid",
                                                  "username",
                                                  "password",
                                                  "idle_timeout",
                                                  "notifications",
                                                  "round_robin",
                                                  "start_type",
                                                  "keepalive_interval",
                                                  "restart_timeout",
                                                  "threshold",
                                                  "try_private",
                                                  "notification_topic",
                                                  "notifications_local_only"};
    return name.starts_with("bridge_") || name.starts_with("remote_") ||
           name.starts_with("local_") ||
           std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

const MosquittoImporter::Directive* MosquittoImporter::find(std::string_view name) {
    const auto& all = directives();
    const auto at = std::find_if(
        all.begin(), all.end(), [name](const Directive& each) { return each.name == name; });
    return at == all.end() ? nullptr : &*at;
}

void MosquittoImporter::take(const MosquittoLine& line) {
    if (in_bridge_ && is_of_bridge(line.name)) return;
    const Directive* directive = find(line.name);
    if (directive != nullptr) {
        text_ = directive->text;
        (this->*directive->member)(line);
        return;
    }
    if (line.name.starts_with("plugin_opt_") || line.name.starts_with("auth_opt_")) {
        warn(line, "plugins are not loaded: see [auth.http] and [auth.jwt]");
        return;
    }
    std::vector<std::string_view> names;
    for (const Directive& each : directives()) names.push_back(each.name);
    const std::string_view guess = nearest(line.name, names);
    warn(line,
         "unknown directive `" + line.name + '`',
         guess.empty() ? std::string{} : "did you mean `" + std::string{guess} + "`?");
}

// --- values ---

std::optional<bool> MosquittoImporter::flag(const MosquittoLine& line) {
    if (line.value == "true" || line.value == "1") return true;
    if (line.value == "false" || line.value == "0") return false;
    warn(line, "left out: neither true nor false");
    return std::nullopt;
}

std::optional<std::uint64_t> MosquittoImporter::number(const MosquittoLine& line) {
    const auto number = whole_number(line.value);
    if (!number) warn(line, "left out: not a whole number");
    return number;
}

/// Our own parser of values decides whether it fits.
void MosquittoImporter::set(const MosquittoLine& line,
                            std::string_view key_path,
                            std::string text) {
    const Key& key = *find_key(key_path);
    MosquittoListener& listener = current();
    const auto assigned =
        assign(key, {.options = options_, .listener = listener.options}, FromText{std::move(text)});
    if (!assigned) {
        warn(line, "left out: " + assigned.error().what, assigned.error().hint);
        return;
    }
    if (key.of_listener()) {
        listener.set.emplace_back(key_path);
        return;
    }
    std::erase_if(set_, [&key](const auto& each) { return each.first == &key; });
    set_.emplace_back(&key, line.where());
}

void MosquittoImporter::count(const MosquittoLine& line) {
    const auto value = number(line);
    if (!value) return;
    const bool unlimited = *value == kUnlimited && text_ == "limits.inflight_maximum";
    set(line, text_, unlimited ? "65535" : std::to_string(*value));
}

void MosquittoImporter::bytes(const MosquittoLine& line) {
    const auto value = number(line);
    if (!value) return;
    const std::string_view most = text_ == "limits.packet_bytes_max" ? "256MiB" : "1TiB";
    set(line, text_, *value == kUnlimited ? std::string{most} : std::to_string(*value) + 'B');
}

void MosquittoImporter::seconds(const MosquittoLine& line) {
    if (const auto value = number(line)) set(line, text_, std::to_string(*value) + 's');
}

void MosquittoImporter::needless_if_true(const MosquittoLine& line) {
    const auto value = flag(line);
    if (value) (*value ? needless(line) : missing(line));
}

void MosquittoImporter::needless_if_false(const MosquittoLine& line) {
    const auto value = flag(line);
    if (value) (*value ? missing(line) : needless(line));
}

// --- listeners ---

void MosquittoImporter::listener(const MosquittoLine& line) {
    const auto blank = std::min(line.value.find(' '), line.value.size());
    MosquittoListener made;
    made.where = &line;
    made.port = line.value.substr(0, blank);
    made.host = blank == line.value.size() ? "" : line.value.substr(blank + 1);
    made.is_unix = made.port == "0" && made.host.starts_with('/');
    listeners_.push_back(std::move(made));
    in_bridge_ = false;
}

void MosquittoImporter::port(const MosquittoLine& line) {
    listeners_.front().port = line.value;
    listeners_.front().where = &line;
    default_is_given_ = true;
}

void MosquittoImporter::bind_address(const MosquittoLine& line) {
    listeners_.front().host = line.value;
    listeners_.front().where = &line;
    default_is_given_ = true;
}

void MosquittoImporter::socket_domain(const MosquittoLine& line) {
    current().ipv4_only = line.value == "ipv4";
    if (line.value == "ipv6") warn(line, "[::] takes IPv4 as well");
}

void MosquittoImporter::protocol(const MosquittoLine& line) {
    current().websockets = line.value == "websockets";
    if (current().websockets) {
        warn(line,
             "WebSockets are taken at the path /mqtt, where Mosquitto takes them at any",
             "if clients use another one, write it behind the port in listener.url");
    } else if (line.value != "mqtt") {
        warn(line, "there is no such protocol here: mqtt is spoken");
    }
}

void MosquittoImporter::max_connections(const MosquittoLine& line) {
    if (line.value == "-1") return;
    if (const auto value = number(line)) {
        set(line, "listener.max_connections", std::to_string(*value));
    }
}

void MosquittoImporter::tls_file(const MosquittoLine& line) { set(line, text_, line.value); }

void MosquittoImporter::cafile(const MosquittoLine& line) {
    set(line, "listener.tls.client_ca", line.value);
}

void MosquittoImporter::require_certificate(const MosquittoLine& line) {
    if (const auto value = flag(line)) current().wants_certificates = *value;
}

void MosquittoImporter::use_identity_as_username(const MosquittoLine& line) {
    if (const auto value = flag(line)) current().names_by_certificate = *value;
}

void MosquittoImporter::tls_version(const MosquittoLine& line) {
    if (line.value == "tlsv1.3") {
        set(line, "listener.tls.min_version", "1.3");
    } else if (line.value != "tlsv1.2") {
        warn(line, "TLS 1.2 is the oldest that is spoken");
    }
}

// --- the whole broker ---

void MosquittoImporter::persistence(const MosquittoLine& line) {
    keeps_ = flag(line).value_or(keeps_);
}

void MosquittoImporter::persistence_location(const MosquittoLine& line) {
    out_.notes.push_back(
        line.says("messages are kept in " + data_dir_ + ": what Mosquitto holds is not read"));
}

void MosquittoImporter::persistent_client_expiration(const MosquittoLine& line) {
    std::uint64_t days = 0;
    const std::string_view text = line.value;
    const auto count = text.empty() ? std::nullopt : whole_number(text.substr(0, text.size() - 1));
    switch (text.empty() ? '\0' : text.back()) {
        case 'h':
            if (count) set(line, "limits.session_expiry_max", std::to_string(*count) + 'h');
            return;
        case 'd':
            days = 1;
            break;
        case 'w':
            days = 7;
            break;
        case 'm':
            days = 30;
            break;
        case 'y':
            days = 365;
            break;
        default:
            break;
    }
    if (!count || days == 0 || *count > 36'500) {
        warn(line, "left out: not a number with h, d, w, m or y behind it");
        return;
    }
    set(line, "limits.session_expiry_max", std::to_string(*count * days) + 'd');
}

void MosquittoImporter::queued_messages(const MosquittoLine& line) {
    const auto value = number(line);
    if (!value) return;
    const std::string text = *value == kUnlimited ? "4294967295" : std::to_string(*value);
    set(line, "limits.session_backlog_messages_max", text);
    set(line, "limits.transient_queue_messages_max", text);
}

void MosquittoImporter::queued_bytes(const MosquittoLine& line) {
    text_ = "limits.session_backlog_bytes_max";
    bytes(line);
    text_ = "limits.transient_queue_bytes_max";
    bytes(line);
}

void MosquittoImporter::message_size_limit(const MosquittoLine& line) {
    constexpr std::uint64_t kTopicAndHeader = 65'535 + 16;
    const auto value = number(line);
    if (!value || *value == kUnlimited || *value > kTopicAndHeader * 4096) return;
    set(line, "limits.packet_bytes_max", std::to_string(*value + kTopicAndHeader) + 'B');
    warn(line, "the bound here is the packet's, topic included, not the payload's");
}

void MosquittoImporter::per_listener_settings(const MosquittoLine& line) {
    per_listener_ = flag(line).value_or(false);
    if (per_listener_) {
        warn(line,
             "users and rules are the same at all listeners",
             "where they differ, the stricter setting is taken; run a broker each if that is not "
             "what you want");
    }
}

void MosquittoImporter::allow_anonymous(const MosquittoLine& line) {
    const auto value = flag(line);
    if (!value) return;
    (per_listener_ ? current().anonymous : anonymous_) = *value;
    anonymous_from_ = &line;
}

void MosquittoImporter::set_file(Given<std::string>& file, const MosquittoLine& line) {
    if (file.where != nullptr && file.value != line.value) {
        warn(line, "there is one such file for all listeners: " + file.value + " stays");
        return;
    }
    file = {line.value, &line};
}

void MosquittoImporter::password_file(const MosquittoLine& line) { set_file(password_file_, line); }
void MosquittoImporter::acl_file(const MosquittoLine& line) { set_file(acl_file_, line); }

/// Mosquitto adds types up, we have levels: the chattiest counts.
void MosquittoImporter::log_type(const MosquittoLine& line) {
    static constexpr std::pair<std::string_view, LogLevel> kTypes[] = {
        {"debug", LogLevel::debug},
        {"all", LogLevel::debug},
        {"subscribe", LogLevel::info},
        {"unsubscribe", LogLevel::info},
        {"websockets", LogLevel::info},
        {"information", LogLevel::info},
        {"notice", LogLevel::info},
        {"warning", LogLevel::warn},
        {"error", LogLevel::error},
        {"none", LogLevel::error}};
    const auto at = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& each) {
        return each.first == line.value;
    });
    if (at == std::end(kTypes)) {
        warn(line, "left out: there is no such type");
        return;
    }
    const Key* key = find_key("logging.level");
    const bool first = std::none_of(
        set_.begin(), set_.end(), [key](const auto& each) { return each.first == key; });
    if (!first && options_.logging.level <= at->second) return;
    static constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error"};
    set(line, "logging.level", std::string{kNames[static_cast<std::size_t>(at->second)]});
}

void MosquittoImporter::log_dest(const MosquittoLine& line) {
    const std::string_view where = line.value;
    if (where.starts_with("stderr") || where.starts_with("stdout") || where.starts_with("syslog")) {
        out_.notes.push_back(line.says("logs go to stderr, with systemd to its journal"));
    } else {
        warn(line, "logs go to stderr only, with systemd to its journal");
    }
}

void MosquittoImporter::bridge(const MosquittoLine& line) {
    in_bridge_ = true;
    warn(line,
         "this bridge is left out, with all its lines",
         "a Mosquitto at the edge can bridge to this broker: operations.md");
}

void MosquittoImporter::plugin(const MosquittoLine& line) {
    has_plugin_ = true;
    warn(line,
         "plugins are not loaded, and whom this one keeps out nobody knows: clients need a name",
         "see [auth.http] and [auth.jwt]");
}

/// Served in another way, more people might reach more than they do today.
void MosquittoImporter::leave_out(const MosquittoLine& line) {
    current().is_left_out = true;
    warn(line, "this listener is left out: " + std::string{text_});
}

}  // namespace stentor::config
