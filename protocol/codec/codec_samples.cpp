#include "protocol/codec/codec_samples.hpp"

#include "base/assert.hpp"
#include "protocol/codec/property_writer.hpp"

#include <array>
#include <span>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

namespace {

/// A description under construction.
class Lines {
  public:
    Lines& number(std::string_view name, std::uint64_t value) {
        return line(name, std::to_string(value));
    }
    Lines& bytes(std::string_view name, ByteView value) { return line(name, to_hex(value)); }
    Lines& text(std::string_view name, std::string_view value) {
        return bytes(name, as_bytes(value));
    }
    Lines& reason(ReasonCode reason) { return number("reason", to_number(reason)); }
    Lines& id(PacketId id) { return number("packet_id", id.value()); }
    std::string take() { return std::move(lines_); }

  private:
    Lines& line(std::string_view name, std::string_view value) {
        lines_.append(name).append("=").append(value).append("\n");
        return *this;
    }
    std::string lines_;
};

struct Describe {
    Lines out;

    void operator()(const ConnectView& packet) {
        out.number("version", static_cast<std::uint64_t>(packet.version))
            .number("clean_start", packet.clean_start ? 1 : 0)
            .number("keep_alive", packet.keep_alive_seconds)
            .text("client_id", packet.client_id)
            .bytes("properties", packet.properties.bytes());
        if (packet.will) {
            out.text("will_topic", packet.will->topic)
                .bytes("will_payload", packet.will->payload)
                .number("will_qos", static_cast<std::uint64_t>(packet.will->qos))
                .number("will_retain", packet.will->retain ? 1 : 0)
                .bytes("will_properties", packet.will->properties.bytes());
        }
        if (packet.user_name) out.text("user_name", *packet.user_name);
        if (packet.password) out.bytes("password", *packet.password);
    }
    void operator()(const ConnackView& packet) {
        out.number("session_present", packet.session_present ? 1 : 0)
            .reason(packet.reason)
            .bytes("properties", packet.properties.bytes());
    }
    void operator()(const PublishView& packet) {
        out.number("dup", packet.dup ? 1 : 0)
            .number("retain", packet.retain ? 1 : 0)
            .number("qos", static_cast<std::uint64_t>(packet.qos))
            .id(packet.packet_id)
            .text("topic", packet.topic)
            .bytes("properties", packet.properties.bytes())
            .bytes("payload", packet.payload);
    }
    void operator()(const AckView& packet) {
        out.id(packet.packet_id)
            .reason(packet.reason)
            .bytes("properties", packet.properties.bytes());
    }
    void operator()(const SubscribeView& packet) {
        out.id(packet.packet_id).bytes("properties", packet.properties.bytes());
        out.number("count", packet.subscriptions.size());
        for (const SubscriptionView entry : packet.subscriptions) {
            out.text("filter", entry.filter);
            out.number("options", std::to_integer<std::uint64_t>(entry.options.to_byte()));
        }
    }
    void operator()(const UnsubscribeView& packet) {
        out.id(packet.packet_id).bytes("properties", packet.properties.bytes());
        out.number("count", packet.filters.size());
        for (const std::string_view filter : packet.filters) out.text("filter", filter);
    }
    void reasons(PacketId id, const PropertiesView& properties, const ReasonCodes& reasons) {
        out.id(id).bytes("properties", properties.bytes());
        for (std::size_t i = 0; i < reasons.size(); ++i) out.reason(reasons[i]);
    }
    void operator()(const SubackView& packet) {
        reasons(packet.packet_id, packet.properties, packet.reasons);
    }
    void operator()(const UnsubackView& packet) {
        reasons(packet.packet_id, packet.properties, packet.reasons);
    }
    void operator()(const PingreqView& /*packet*/) {}
    void operator()(const PingrespView& /*packet*/) {}
    void operator()(const DisconnectView& packet) {
        out.reason(packet.reason).bytes("properties", packet.properties.bytes());
    }
    void operator()(const AuthView& packet) {
        out.reason(packet.reason).bytes("properties", packet.properties.bytes());
    }
};

/// Draws the parts of packets.
class Draw {
  public:
    Draw(Random& random, ProtocolVersion version) : random_{random}, version_{version} {}

    bool coin() { return random_.chance(1, 2); }
    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }
    bool v5() const { return version_ == ProtocolVersion::v5; }

    std::string text(std::size_t characters_min, std::string_view extra = "") {
        static constexpr std::array<std::string_view, 8> kPieces{
            "a", "topic", "/", "temperature", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", " "};
        std::string text;
        const std::size_t pieces = characters_min + below(below(8) == 0 ? 60 : 6);
        for (std::size_t i = 0; i < pieces; ++i) {
            const std::size_t pick = below(kPieces.size() + extra.size());
            if (pick < kPieces.size()) {
                text += kPieces[pick];
            } else {
                text += extra[pick - kPieces.size()];
            }
        }
        return text;
    }
    Bytes bytes() {
        static constexpr std::array<std::uint64_t, 4> kBounds{1, 20, 300, 20'000};
        Bytes bytes(below(kBounds[below(kBounds.size())]));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(below(256));
        return bytes;
    }
    QoS qos() { return static_cast<QoS>(below(3)); }
    PacketId packet_id() {
        return PacketId{static_cast<std::uint16_t>(random_.between(1, 65'535))};
    }
    template <std::size_t kCount>
    ReasonCode reason(const std::array<ReasonCode, kCount>& choices) {
        return v5() ? choices[below(kCount)] : choices[0];
    }

    /// A block of `context` in which every second property is missing; none at all in 3.1.1.
    Bytes properties(PropertyContext context, bool with_method = false) {
        PropertyWriter writer;
        if (!v5()) return {};
        for (unsigned number = 0; number < 0x2B; ++number) {
            const auto id = static_cast<Property>(number);
            if (id == Property::authentication_data) continue;
            const bool wanted = with_method && id == Property::authentication_method;
            if (!wanted && !coin()) continue;
            add(writer, context, id);
        }
        return to_owned(writer.bytes());
    }

  private:
    /// Adds a property if it is allowed: parse_properties() itself says so, and its own rules are
    /// tested elsewhere by hand.
    void add(PropertyWriter& writer, PropertyContext context, Property id) {
        PropertyWriter one;
        switch (id) {
            case Property::content_type:
            case Property::assigned_client_identifier:
            case Property::authentication_method:
            case Property::response_information:
            case Property::server_reference:
            case Property::reason_string:
                one.text(id, text(0, "+#"));
                break;
            case Property::response_topic:
                one.text(id, text(1));
                break;
            case Property::correlation_data:
                one.binary(id, bytes());
                break;
            case Property::user_property:
                for (std::uint64_t i = below(4); i > 0; --i) one.user(text(0), text(0, "+#"));
                break;
            case Property::subscription_identifier:
                one.number(id, static_cast<std::uint32_t>(random_.between(1, kVarintMax)));
                break;
            case Property::payload_format_indicator:
            case Property::request_problem_information:
            case Property::request_response_information:
            case Property::maximum_qos:
            case Property::retain_available:
            case Property::wildcard_subscription_available:
            case Property::subscription_identifier_available:
            case Property::shared_subscription_available:
                one.number(id, static_cast<std::uint32_t>(below(2)));
                break;
            case Property::message_expiry_interval:
            case Property::session_expiry_interval:
            case Property::server_keep_alive:
            case Property::will_delay_interval:
            case Property::receive_maximum:
            case Property::topic_alias_maximum:
            case Property::topic_alias:
            case Property::maximum_packet_size:
                one.number(id, static_cast<std::uint32_t>(random_.between(1, 65'535)));
                break;
            default:
                return;
        }
        if (!parse_properties(one.bytes(), context)) return;
        for (const PropertyEntry& entry : PropertyEntries{one.bytes()}) writer.entry(entry);
    }

    Random& random_;
    ProtocolVersion version_;
};

void expect_written(Encoded encoded) { STENTOR_ASSERT(encoded == Encoded::written); }

void draw_connect(Draw& draw, ProtocolVersion version, WireBuffer& wire, Lines& expected) {
    const std::string client_id = draw.text(0);
    const std::string topic = draw.text(1);
    const std::string user = draw.text(0);
    const Bytes password = draw.bytes();
    const Bytes payload = draw.bytes();
    const Bytes properties = draw.properties(PropertyContext::connect);
    const Bytes will_properties = draw.properties(PropertyContext::will);
    Connect packet{.version = version,
                   .clean_start = draw.coin(),
                   .keep_alive_seconds = static_cast<std::uint16_t>(draw.below(65'536)),
                   .client_id = client_id,
                   .properties = properties};
    expected.number("version", static_cast<std::uint64_t>(version))
        .number("clean_start", packet.clean_start ? 1 : 0)
        .number("keep_alive", packet.keep_alive_seconds)
        .text("client_id", client_id)
        .bytes("properties", properties);
    if (draw.coin()) {
        const QoS qos = draw.qos();
        const bool retain = draw.coin();
        packet.will = Will{.topic = topic,
                           .payload = payload,
                           .qos = qos,
                           .retain = retain,
                           .properties = will_properties};
        expected.text("will_topic", topic)
            .bytes("will_payload", payload)
            .number("will_qos", static_cast<std::uint64_t>(qos))
            .number("will_retain", retain ? 1 : 0)
            .bytes("will_properties", will_properties);
    }
    if (draw.coin()) {
        packet.user_name = user;
        expected.text("user_name", user);
    }
    if (draw.coin() && (draw.v5() || packet.user_name)) {
        packet.password = ByteView{password};
        expected.bytes("password", password);
    }
    expect_written(encode_connect(wire, packet));
}

void draw_connack(Draw& draw, ProtocolVersion version, WireBuffer& wire, Lines& expected) {
    static constexpr std::array kRefusals{ReasonCode::not_authorized,
                                          ReasonCode::client_identifier_not_valid,
                                          ReasonCode::server_unavailable,
                                          ReasonCode::bad_user_name_or_password,
                                          ReasonCode::unsupported_protocol_version};
    const bool refused = draw.coin();
    const ReasonCode reason =
        refused ? kRefusals[draw.below(kRefusals.size())] : ReasonCode::success;
    const bool present = !refused && draw.coin();
    const Bytes properties = draw.properties(PropertyContext::connack);
    expect_written(encode_connack(
        wire, version, {.session_present = present, .reason = reason, .properties = properties}));
    expected.number("session_present", present ? 1 : 0)
        .reason(reason)
        .bytes("properties", properties);
}

void draw_publish(Draw& draw, ProtocolVersion version, Role to, WireBuffer& wire, Lines& expected) {
    const QoS qos = draw.qos();
    const bool acknowledged = qos != QoS::at_most_once;
    const std::string topic = draw.text(1);
    const Bytes payload = draw.bytes();
    const Bytes properties =
        draw.properties(to == Role::server ? PropertyContext::publish_to_server
                                           : PropertyContext::publish_to_client);
    const Publish packet{.topic = topic,
                         .payload = payload,
                         .qos = qos,
                         .dup = acknowledged && draw.coin(),
                         .retain = draw.coin(),
                         .packet_id = acknowledged ? draw.packet_id() : kNoPacketId,
                         .properties = properties};
    expect_written(encode_publish(wire, version, packet));
    expected.number("dup", packet.dup ? 1 : 0)
        .number("retain", packet.retain ? 1 : 0)
        .number("qos", static_cast<std::uint64_t>(qos))
        .id(packet.packet_id)
        .text("topic", topic)
        .bytes("properties", properties)
        .bytes("payload", payload);
}

void draw_ack(
    Draw& draw, ProtocolVersion version, PacketType type, WireBuffer& wire, Lines& expected) {
    static constexpr std::array kFirst{ReasonCode::success,
                                       ReasonCode::no_matching_subscribers,
                                       ReasonCode::quota_exceeded,
                                       ReasonCode::not_authorized};
    static constexpr std::array kSecond{ReasonCode::success,
                                        ReasonCode::packet_identifier_not_found};
    static constexpr std::array kContexts{PropertyContext::puback,
                                          PropertyContext::pubrec,
                                          PropertyContext::pubrel,
                                          PropertyContext::pubcomp};
    const auto index =
        static_cast<std::size_t>(type) - static_cast<std::size_t>(PacketType::puback);
    const Bytes properties = draw.coin() ? draw.properties(kContexts[index]) : Bytes{};
    const Ack packet{.type = type,
                     .packet_id = draw.packet_id(),
                     .reason = index < 2 ? draw.reason(kFirst) : draw.reason(kSecond),
                     .properties = properties};
    expect_written(encode_ack(wire, version, packet));
    expected.id(packet.packet_id).reason(packet.reason).bytes("properties", properties);
}

void draw_subscribe(Draw& draw, ProtocolVersion version, WireBuffer& wire, Lines& expected) {
    std::vector<std::string> filters(1 + draw.below(5));
    std::vector<SubscriptionView> subscriptions;
    for (std::string& filter : filters) {
        filter = draw.text(1, "+#/");
        SubscriptionOptions options{.qos = draw.qos()};
        if (draw.v5()) {
            options.no_local = draw.coin();
            options.retain_as_published = draw.coin();
            options.retain_handling = static_cast<RetainHandling>(draw.below(3));
        }
        subscriptions.push_back({.filter = filter, .options = options});
    }
    const Bytes properties = draw.properties(PropertyContext::subscribe);
    const PacketId id = draw.packet_id();
    expect_written(encode_subscribe(
        wire,
        version,
        {.packet_id = id, .subscriptions = subscriptions, .properties = properties}));
    expected.id(id).bytes("properties", properties).number("count", filters.size());
    for (const SubscriptionView& entry : subscriptions) {
        expected.text("filter", entry.filter);
        expected.number("options", std::to_integer<std::uint64_t>(entry.options.to_byte()));
    }
}

void draw_unsubscribe(Draw& draw, ProtocolVersion version, WireBuffer& wire, Lines& expected) {
    std::vector<std::string> owned(1 + draw.below(5));
    for (std::string& filter : owned) filter = draw.text(1, "+#/");
    const std::vector<std::string_view> filters(owned.begin(), owned.end());
    const Bytes properties = draw.properties(PropertyContext::unsubscribe);
    const PacketId id = draw.packet_id();
    expect_written(encode_unsubscribe(
        wire, version, {.packet_id = id, .filters = filters, .properties = properties}));
    expected.id(id).bytes("properties", properties).number("count", filters.size());
    for (const std::string_view filter : filters) expected.text("filter", filter);
}

void draw_suback(
    Draw& draw, ProtocolVersion version, PacketType type, WireBuffer& wire, Lines& expected) {
    static constexpr std::array kSubscribed{ReasonCode::granted_qos_0,
                                            ReasonCode::granted_qos_1,
                                            ReasonCode::granted_qos_2,
                                            ReasonCode::unspecified_error,
                                            ReasonCode::not_authorized};
    static constexpr std::array kUnsubscribed{
        ReasonCode::success, ReasonCode::no_subscription_existed, ReasonCode::not_authorized};
    const bool subscribed = type == PacketType::suback;
    std::vector<ReasonCode> reasons(1 + draw.below(5));
    for (ReasonCode& reason : reasons) {
        if (subscribed) {
            reason = kSubscribed[draw.below(draw.v5() ? 5 : 4)];
        } else {
            reason = draw.reason(kUnsubscribed);
        }
    }
    const Bytes properties =
        draw.properties(subscribed ? PropertyContext::suback : PropertyContext::unsuback);
    const Suback packet{
        .packet_id = draw.packet_id(), .reasons = reasons, .properties = properties};
    expect_written(subscribed ? encode_suback(wire, version, packet)
                              : encode_unsuback(wire, version, packet));
    expected.id(packet.packet_id).bytes("properties", properties);
    if (!subscribed && !draw.v5()) return;
    for (const ReasonCode reason : reasons) expected.reason(reason);
}

void draw_disconnect(
    Draw& draw, ProtocolVersion version, Role to, WireBuffer& wire, Lines& expected) {
    static constexpr std::array kByClient{ReasonCode::normal_disconnection,
                                          ReasonCode::disconnect_with_will_message,
                                          ReasonCode::protocol_error};
    static constexpr std::array kByServer{ReasonCode::normal_disconnection,
                                          ReasonCode::session_taken_over,
                                          ReasonCode::server_shutting_down};
    const ReasonCode reason = draw.reason(to == Role::server ? kByClient : kByServer);
    const Bytes properties =
        draw.coin() ? draw.properties(to == Role::server ? PropertyContext::disconnect_to_server
                                                         : PropertyContext::disconnect_to_client)
                    : Bytes{};
    expect_written(encode_disconnect(wire, version, {.reason = reason, .properties = properties}));
    expected.reason(reason).bytes("properties", properties);
}

void draw_auth(Draw& draw, Role to, WireBuffer& wire, Lines& expected) {
    static constexpr std::array kByClient{ReasonCode::continue_authentication,
                                          ReasonCode::re_authenticate};
    static constexpr std::array kByServer{ReasonCode::continue_authentication, ReasonCode::success};
    const ReasonCode reason = draw.reason(to == Role::server ? kByClient : kByServer);
    const Bytes properties = draw.properties(PropertyContext::auth, true);
    expect_written(encode_auth(wire, {.reason = reason, .properties = properties}));
    expected.reason(reason).bytes("properties", properties);
}

}  // namespace

Sample random_sample(Random& random, ProtocolVersion version, Role receiver, PacketType type) {
    STENTOR_ASSERT(receives(receiver, version, type));
    Draw draw{random, version};
    WireBuffer wire;
    Lines expected;
    switch (type) {
        case PacketType::connect:
            draw_connect(draw, version, wire, expected);
            break;
        case PacketType::connack:
            draw_connack(draw, version, wire, expected);
            break;
        case PacketType::publish:
            draw_publish(draw, version, receiver, wire, expected);
            break;
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp:
            draw_ack(draw, version, type, wire, expected);
            break;
        case PacketType::subscribe:
            draw_subscribe(draw, version, wire, expected);
            break;
        case PacketType::suback:
        case PacketType::unsuback:
            draw_suback(draw, version, type, wire, expected);
            break;
        case PacketType::unsubscribe:
            draw_unsubscribe(draw, version, wire, expected);
            break;
        case PacketType::pingreq:
            encode_pingreq(wire);
            break;
        case PacketType::pingresp:
            encode_pingresp(wire);
            break;
        case PacketType::disconnect:
            draw_disconnect(draw, version, receiver, wire, expected);
            break;
        case PacketType::auth:
            draw_auth(draw, receiver, wire, expected);
            break;
    }
    return {.version = version,
            .receiver = receiver,
            .type = type,
            .wire = bytes_of(wire),
            .expected = expected.take()};
}

bool receives(Role receiver, ProtocolVersion version, PacketType type) {
    const bool v5 = version == ProtocolVersion::v5;
    switch (type) {
        case PacketType::connect:
        case PacketType::subscribe:
        case PacketType::unsubscribe:
        case PacketType::pingreq:
            return receiver == Role::server;
        case PacketType::connack:
        case PacketType::suback:
        case PacketType::unsuback:
        case PacketType::pingresp:
            return receiver == Role::client;
        case PacketType::disconnect:
            return v5 || receiver == Role::server;
        case PacketType::auth:
            return v5;
        default:
            return true;
    }
}

std::string describe(const PacketView& packet) {
    Describe visitor;
    std::visit(visitor, packet);
    return visitor.out.take();
}

Decoder decoder_for(const Sample& sample, DecodeLimits limits) {
    if (sample.receiver == Role::client) return Decoder{sample.version, limits};
    Decoder decoder{limits};
    if (sample.type == PacketType::connect) return decoder;
    WireBuffer connect;
    expect_written(encode_connect(connect, {.version = sample.version}));
    STENTOR_ASSERT(decoder.next(bytes_of(connect)).has_value());
    return decoder;
}

Bytes bytes_of(const WireBuffer& buffer) {
    std::vector<ByteView> parts(64);
    parts.resize(buffer.gather(parts));
    Bytes bytes;
    for (const ByteView part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
    STENTOR_ASSERT(bytes.size() == buffer.size(), "more parts than tests have");
    return bytes;
}

}  // namespace stentor::mqtt
