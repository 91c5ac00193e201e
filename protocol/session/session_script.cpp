#include "protocol/session/session_script.hpp"

#include "base/assert.hpp"

#include <array>
#include <sstream>
#include <utility>
#include <variant>

namespace stentor::mqtt::test {

namespace {

template <class... Parts>
[[nodiscard]] std::string text(const Parts&... parts) {
    std::ostringstream out;
    out << std::boolalpha;
    (out << ... << parts);
    return out.str();
}

/// Two hex digits.
template <class Number>
[[nodiscard]] std::string code(Number number) {
    const std::array byte{static_cast<std::byte>(number)};
    return to_hex(byte);
}

[[nodiscard]] std::string ack(std::string_view type, const AckView& packet) {
    std::string line = text(type, " ", packet.packet_id.value());
    if (packet.reason != ReasonCode::success) line += " " + code(packet.reason);
    return line;
}

struct Describe {
    std::string operator()(const ConnackView& packet) const {
        std::string line =
            text("CONNACK present=", packet.session_present, " ", code(packet.reason));
        for (const PropertyEntry& entry : packet.properties.entries()) {
            line += describe_property(entry);
        }
        return line;
    }
    std::string operator()(const PublishView& packet) const {
        std::string line = text("PUBLISH q", static_cast<int>(packet.qos));
        if (packet.qos != QoS::at_most_once) line += text(" #", packet.packet_id.value());
        line += text(" ", packet.topic, "=", as_text(packet.payload));
        if (packet.dup) line += " dup";
        if (packet.retain) line += " retain";
        if (const auto alias = packet.properties.topic_alias()) {
            line += text(" alias=", *alias);
        }
        if (const auto left = packet.properties.message_expiry_interval()) {
            line += text(" expiry=", *left);
        }
        for (const SubscriptionIdentifier id : packet.properties.subscription_identifiers()) {
            line += text(" sub=", id.value);
        }
        return line;
    }
    std::string operator()(const PubackView& packet) const { return ack("PUBACK", packet); }
    std::string operator()(const PubrecView& packet) const { return ack("PUBREC", packet); }
    std::string operator()(const PubrelView& packet) const { return ack("PUBREL", packet); }
    std::string operator()(const PubcompView& packet) const { return ack("PUBCOMP", packet); }
    std::string operator()(const SubackView& packet) const {
        std::string line = codes("SUBACK", packet.packet_id, packet.reasons);
        for (const PropertyEntry& entry : packet.properties.entries()) {
            line += describe_property(entry);
        }
        return line;
    }
    std::string operator()(const UnsubackView& packet) const {
        return codes("UNSUBACK", packet.packet_id, packet.reasons);
    }
    std::string operator()(const PingrespView& /*packet*/) const { return "PINGRESP"; }
    std::string operator()(const DisconnectView& packet) const {
        std::string line = "DISCONNECT " + code(packet.reason);
        for (const PropertyEntry& entry : packet.properties.entries()) {
            line += describe_property(entry);
        }
        return line;
    }
    template <class Other>
    std::string operator()(const Other& /*packet*/) const {
        return "not a server's packet";
    }

    static std::string codes(std::string_view type, PacketId id, const ReasonCodes& reasons) {
        std::string line = text(type, " ", id.value());
        for (std::size_t i = 0; i < reasons.size(); ++i) line += " " + code(reasons[i]);
        return line;
    }
    static std::string describe_property(const PropertyEntry& entry) {
        switch (entry.id) {
            case Property::user_property:
                return text(" ", entry.text(), ":", entry.user_value());
            case Property::assigned_client_identifier:
            case Property::authentication_method:
            case Property::reason_string:
            case Property::server_reference:
                return text(" ", code(entry.id), "=", entry.text());
            case Property::authentication_data:
                return text(" ", code(entry.id), "=", as_text(entry.binary()));
            default:
                return text(" ", code(entry.id), "=", entry.number());
        }
    }
};

constexpr std::array kDropNames = {"outbox_full",
                                   "queue_full",
                                   "packet_too_large",
                                   "expired",
                                   "not_authorized",
                                   "no_longer_stored",
                                   "session_ended",
                                   "retained_limit",
                                   "backlog_full",
                                   "too_old",
                                   "log_full"};

void describe(const Effects& fx, Lines& lines) {
    for (const Release& release : fx.releases) {
        lines.push_back(
            text("release ", as_text(release.message->payload()), " to ", release.destinations));
    }
    for (const Dropped& drop : fx.drops) {
        lines.push_back(text("drop ", kDropNames.at(static_cast<std::size_t>(drop.reason))));
    }
    if (fx.pause_reading) lines.emplace_back("pause");
    if (fx.resume_reading) lines.emplace_back("resume");
    if (fx.wants_more) lines.emplace_back("wants more");
    if (fx.close) {
        std::string line = "close " + code(fx.close->reason);
        if (fx.close->send_disconnect) line += " disconnect";
        if (fx.close->will == CloseWill::forget) line += " forget will";
        lines.push_back(std::move(line));
    }
}

[[nodiscard]] Grant grant_of(const ToClient& to) {
    return {.qos = to.qos,
            .retain = to.retain,
            .subscription_identifiers = to.subscription_identifiers};
}

[[nodiscard]] MessagePtr message_of(const ToClient& to, Instant now) {
    return message({.topic = to.topic,
                    .payload = to.payload,
                    .qos = to.qos,
                    .expiry_seconds = to.expiry_seconds},
                   now);
}

template <class Packet>
[[nodiscard]] Packet packet(std::uint16_t id, ReasonCode reason) {
    Packet view;
    view.packet_id = PacketId{id};
    view.reason = reason;
    return view;
}

}  // namespace

ConnectRequest transient(ProtocolVersion version) {
    ConnectRequest request;
    request.client_id = "client";
    request.version = version;
    return request;
}

ConnectRequest durable(ProtocolVersion version) {
    ConnectRequest request = transient(version);
    request.clean_start = false;
    request.session_expiry_seconds = 3600;
    return request;
}

MessagePtr message(const TestMessage& fields, Instant arrival) {
    return Message::create({.topic = fields.topic,
                            .properties = {},
                            .payload = as_bytes(fields.payload),
                            .publisher = "publisher",
                            .qos = fields.qos,
                            .retain = false,
                            .arrival = arrival,
                            .message_expiry_seconds = fields.expiry_seconds});
}

Lines describe(ProtocolVersion version, ByteView bytes) {
    Lines lines;
    Decoder decoder{version, DecodeLimits{.packet_bytes_max = 16U << 20U}};
    while (!bytes.empty()) {
        const auto step = decoder.next(bytes);
        if (!step) {
            lines.push_back(text("refused: ", step.error().detail));
            break;
        }
        const auto* decoded = std::get_if<Decoded>(&*step);
        if (decoded == nullptr) {
            lines.emplace_back("half a packet");
            break;
        }
        lines.push_back(std::visit(Describe{}, decoded->packet));
        bytes = bytes.subspan(decoded->bytes_used);
    }
    return lines;
}

Script::Script(ConnectRequest request, SessionLimits limits, SessionParts parts)
    : limits_{limits},
      version_{request.version},
      session_{std::move(request), limits_, std::move(parts)} {
    fx_.out = &wire_;
}

Lines Script::observe() {
    Lines lines;
    if (reading_) lines = describe(version_, wire_.take());
    describe(fx_, lines);
    fx_.clear();
    return lines;
}

Lines Script::read() {
    reading_ = true;
    Lines lines = describe(version_, wire_.take());
    session_.pump(now_, fx_);
    const Lines more = observe();
    lines.insert(lines.end(), more.begin(), more.end());
    return lines;
}

Lines Script::connack(bool present, std::span<const UserProperty> user_properties) {
    const auto told = session_.send_connack(present, user_properties, fx_);
    Lines lines = observe();
    if (told == Session::UserProperties::left_out) lines.emplace_back("user properties left out");
    return lines;
}

Lines Script::inflight_again() {
    session_.send_inflight_again(now_, fx_);
    return observe();
}

Lines Script::publish(const FromClient& packet) {
    PropertyWriter properties;
    if (packet.alias) properties.number(Property::topic_alias, *packet.alias);
    PublishView view;
    view.dup = packet.dup;
    view.qos = packet.qos;
    view.packet_id = PacketId{packet.id};
    view.topic = packet.topic;
    view.payload = as_bytes(packet.payload);
    if (packet.alias) {
        // from_checked(): alias 0 and too large ones are to reach the session.
        view.properties = PropertiesView::from_checked(
            properties.bytes(), std::uint64_t{1} << static_cast<unsigned>(Property::topic_alias));
    }
    const auto route = session_.accept_publish(view, now_, fx_);
    Lines lines;
    if (route) {
        STENTOR_ASSERT(route->packet == &view);
        lines.push_back(text("route ", route->topic, route->keep_identifier ? " keep" : ""));
        const MessagePtr routed = message(
            {.topic = std::string{route->topic}, .payload = packet.payload, .qos = packet.qos},
            now_);
        session_.ingress(
            view.packet_id, view.qos, packet.outcome, packet.reason, routed, 3, packet.ticket, fx_);
    }
    const Lines more = observe();
    lines.insert(lines.end(), more.begin(), more.end());
    return lines;
}

Lines Script::committed(std::uint64_t ticket) {
    session_.ingress_committed(ticket, fx_);
    return observe();
}

Lines Script::failed(std::uint64_t ticket, ReasonCode reason) {
    session_.ingress_failed(ticket, reason, fx_);
    return observe();
}

Lines Script::puback(std::uint16_t id, ReasonCode reason) {
    session_.on(packet<PubackView>(id, reason), now_, fx_);
    return observe();
}

Lines Script::pubrec(std::uint16_t id, ReasonCode reason) {
    session_.on(packet<PubrecView>(id, reason), now_, fx_);
    return observe();
}

Lines Script::pubcomp(std::uint16_t id, ReasonCode reason) {
    session_.on(packet<PubcompView>(id, reason), now_, fx_);
    return observe();
}

Lines Script::pubrel(std::uint16_t id) {
    const auto result = session_.on(packet<PubrelView>(id, ReasonCode::success), fx_);
    Lines lines = observe();
    if (result == Session::Pubrel::commit_forget) lines.emplace_back("commit forget");
    return lines;
}

Lines Script::forgotten(std::uint16_t id) {
    session_.forget_committed(PacketId{id}, fx_);
    return observe();
}

Lines Script::ping() {
    session_.on(PingreqView{}, fx_);
    return observe();
}

Lines Script::disconnect(ReasonCode reason, std::optional<std::uint32_t> session_expiry) {
    PropertyWriter properties;
    if (session_expiry) properties.number(Property::session_expiry_interval, *session_expiry);
    const auto parsed = parse_properties(properties.bytes(), PropertyContext::disconnect_to_server);
    DisconnectView view;
    view.reason = reason;
    view.properties = *parsed;
    session_.on(view, fx_);
    return observe();
}

Lines Script::suback(std::uint16_t id, std::vector<ReasonCode> codes) {
    session_.send_suback(PacketId{id}, codes, fx_);
    return observe();
}

Lines Script::unsuback(std::uint16_t id, std::vector<ReasonCode> codes) {
    session_.send_unsuback(PacketId{id}, codes, fx_);
    return observe();
}

Lines Script::deliver(const ToClient& to) {
    session_.deliver(message_of(to, now_), grant_of(to), now_, fx_);
    return observe();
}

Lines Script::logged_lines(Session::Logged result) {
    Lines lines = observe();
    if (result == Session::Logged::window_full) lines.emplace_back("window full");
    return lines;
}

Lines Script::logged(std::uint64_t seq, const ToClient& to) {
    return logged_lines(
        session_.deliver_logged(Seq{seq}, message_of(to, now_), grant_of(to), now_, fx_));
}

Lines Script::pinned(std::uint64_t seq, const ToClient& to) {
    return logged_lines(
        session_.deliver_pinned(Seq{seq}, message_of(to, now_), grant_of(to), now_, fx_));
}

Lines Script::restore(std::uint64_t seq, const std::optional<ToClient>& to) {
    const auto identifiers_anew = [&] { return std::span{to.value().subscription_identifiers}; };
    session_.restore_message(
        Seq{seq}, to ? message_of(*to, now_) : MessagePtr{}, identifiers_anew, fx_);
    return observe();
}

Lines Script::server_disconnect(ReasonCode reason,
                                std::string_view reason_string,
                                std::string_view reference) {
    session_.send_disconnect(reason, reason_string, reference, fx_);
    return observe();
}

std::string Script::take() {
    const DeliveryChange change = session_.take_delivery_change();
    std::string line = text("through ", change.sent_through.value());
    for (const PacketId id : change.done) line += text(" free ", id.value());
    for (const DeliveryChange::Item& item : change.changed) {
        line += text(item.phase == DeliveryPhase::received ? " received " : " sent ",
                     item.packet_id.value(),
                     "=q",
                     static_cast<int>(item.qos),
                     "@",
                     item.seq.value());
    }
    return line;
}

Lines Script::commit() {
    session_.delivery_committed(now_, fx_);
    return observe();
}

}  // namespace stentor::mqtt::test
