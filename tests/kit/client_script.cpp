#include "tests/kit/client_script.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <array>

namespace stentor::mqtt::test {
namespace {

std::string text(const PropertiesView& properties) {
    std::string all;
    for (const auto& entry : properties.entries()) {
        if (entry.id == Property::topic_alias) all += fmt::format(" alias{}", entry.number());
        if (entry.id == Property::user_property) {
            all += fmt::format(" {}:{}", entry.text(), entry.user_value());
        }
        if (entry.id == Property::session_expiry_interval) {
            all += fmt::format(" expiry{}", entry.number());
        }
    }
    return all;
}

std::string text(const PublishView& packet) {
    std::string all = fmt::format("q{}", static_cast<int>(packet.qos));
    if (packet.packet_id != kNoPacketId) all += fmt::format(" id{}", packet.packet_id.value());
    if (packet.dup) all += " dup";
    if (packet.retain) all += " retain";
    return all + text(packet.properties) +
           fmt::format(" {}={}", packet.topic, as_text(packet.payload));
}

std::string text(std::string_view type, const AckView& packet) {
    auto all = fmt::format("{} {}", type, packet.packet_id.value());
    if (packet.reason != ReasonCode::success) all += fmt::format(" {}", name(packet.reason));
    return all;
}

struct PacketText {
    std::string operator()(const ConnectView& packet) const {
        auto all = fmt::format("CONNECT {}{} keepalive {}",
                               packet.client_id,
                               packet.clean_start ? " clean" : "",
                               packet.keep_alive_seconds);
        if (packet.user_name) all += fmt::format(" user {}", *packet.user_name);
        if (packet.password) all += fmt::format(" password {}", as_text(*packet.password));
        if (packet.will) {
            all += fmt::format(" will q{}{} {}={}",
                               static_cast<int>(packet.will->qos),
                               packet.will->retain ? " retain" : "",
                               packet.will->topic,
                               as_text(packet.will->payload));
        }
        return all + text(packet.properties);
    }
    std::string operator()(const PublishView& packet) const { return "PUBLISH " + text(packet); }
    std::string operator()(const PubackView& packet) const { return text("PUBACK", packet); }
    std::string operator()(const PubrecView& packet) const { return text("PUBREC", packet); }
    std::string operator()(const PubrelView& packet) const { return text("PUBREL", packet); }
    std::string operator()(const PubcompView& packet) const { return text("PUBCOMP", packet); }
    std::string operator()(const SubscribeView& packet) const {
        auto all = fmt::format("SUBSCRIBE {}", packet.packet_id.value());
        for (const auto& entry : packet.subscriptions) {
            all += fmt::format(" {} q{}", entry.filter, static_cast<int>(entry.options.qos));
        }
        return all;
    }
    std::string operator()(const UnsubscribeView& packet) const {
        auto all = fmt::format("UNSUBSCRIBE {}", packet.packet_id.value());
        for (const auto& filter : packet.filters) all += fmt::format(" {}", filter);
        return all;
    }
    std::string operator()(const PingreqView& /*packet*/) const { return "PINGREQ"; }
    std::string operator()(const DisconnectView& packet) const {
        return fmt::format("DISCONNECT {}{}", name(packet.reason), text(packet.properties));
    }
    std::string operator()(const AuthView& packet) const {
        return fmt::format("AUTH {}", name(packet.reason));
    }
    std::string operator()(const auto& /*packet*/) const { return "not a client's packet"; }
};

std::string_view name(CloseCause cause) {
    switch (cause) {
        case CloseCause::refused:
            return "refused";
        case CloseCause::disconnected:
            return "disconnected";
        case CloseCause::server_error:
            return "server error";
        case CloseCause::connect_timeout:
            return "connect timeout";
        case CloseCause::ping_timeout:
            return "ping timeout";
    }
    return "?";
}

std::string text(std::string_view what, const ReasonCodes& reasons) {
    std::string all{what};
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        all += fmt::format(" 0x{:02x}", to_number(reasons[i]));
    }
    return all;
}

struct EventText {
    std::string operator()(const NeedInput& /*event*/) const { return "need input"; }
    std::string operator()(const Connected& event) const {
        return event.session_present ? "connected, session present" : "connected";
    }
    std::string operator()(const Received& event) const {
        return "received " + text(event.publish);
    }
    std::string operator()(const PublishDone& event) const {
        return fmt::format(
            "done {} token {} {}", event.packet_id.value(), event.token, mqtt::name(event.reason));
    }
    std::string operator()(const PublishLost& event) const {
        return fmt::format("lost {} token {}", event.packet_id.value(), event.token);
    }
    std::string operator()(const PublishReceived& event) const {
        return fmt::format("pubrec {}", event.packet_id.value());
    }
    std::string operator()(const ReleaseReceived& event) const {
        return fmt::format("pubrel {}", event.packet_id.value());
    }
    std::string operator()(const SubscribeDone& event) const {
        return text(fmt::format("subscribed {}", event.packet_id.value()), event.reasons);
    }
    std::string operator()(const UnsubscribeDone& event) const {
        return text(fmt::format("unsubscribed {}", event.packet_id.value()), event.reasons);
    }
    std::string operator()(const AuthReceived& event) const {
        return fmt::format("auth {}", mqtt::name(event.auth.reason));
    }
    std::string operator()(const PingDone& /*event*/) const { return "ping done"; }
    std::string operator()(const Closed& event) const {
        return fmt::format("closed: {} {}", name(event.cause), mqtt::name(event.reason));
    }
};

Bytes encoded(const std::function<void(WireBuffer&)>& encode) {
    WireBuffer out;
    encode(out);
    return out.take();
}

}  // namespace

Bytes connack(bool session_present,
              ReasonCode reason,
              ByteView properties,
              ProtocolVersion version) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(
            encode_connack(
                out,
                version,
                {.session_present = session_present, .reason = reason, .properties = properties}),
            Encoded::written);
    });
}

Bytes publish(const Publish& packet, ProtocolVersion version) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(encode_publish(out, version, packet), Encoded::written);
    });
}

Bytes ack(PacketType type, std::uint16_t packet_id, ReasonCode reason, ProtocolVersion version) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(
            encode_ack(
                out, version, {.type = type, .packet_id = PacketId{packet_id}, .reason = reason}),
            Encoded::written);
    });
}

Bytes suback(std::uint16_t packet_id, std::vector<ReasonCode> reasons) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(
            encode_suback(
                out, ProtocolVersion::v5, {.packet_id = PacketId{packet_id}, .reasons = reasons}),
            Encoded::written);
    });
}

Bytes unsuback(std::uint16_t packet_id, std::vector<ReasonCode> reasons) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(
            encode_unsuback(
                out, ProtocolVersion::v5, {.packet_id = PacketId{packet_id}, .reasons = reasons}),
            Encoded::written);
    });
}

Bytes server_disconnect(ReasonCode reason) {
    return encoded([&](WireBuffer& out) {
        EXPECT_EQ(encode_disconnect(out, ProtocolVersion::v5, {.reason = reason}),
                  Encoded::written);
    });
}

Bytes pingresp() {
    return encoded([](WireBuffer& out) { encode_pingresp(out); });
}

Bytes properties(const std::function<void(PropertyWriter&)>& write) {
    PropertyWriter writer;
    write(writer);
    return to_owned(writer.bytes());
}

Script::Script(ClientOptions options, Arrival arrival)
    : session{std::move(options)}, arrival_{arrival} {}

Script& Script::at(std::chrono::milliseconds time) {
    const Instant target{time};
    EXPECT_GE(target, now_);
    while (session.deadline() <= target) {
        now_ = std::max(now_, session.deadline());
        if (const auto closed = session.on_time(now_, out_)) {
            events_.push_back(EventText{}(*closed));
        }
    }
    now_ = target;
    return *this;
}

Script& Script::connects(CleanStart clean_start) {
    session.connect(clean_start, now_, out_);
    return *this;
}

Script& Script::is_connected(ByteView connack_properties) {
    connects();
    receives(connack(false, ReasonCode::success, connack_properties, session.options().version));
    out_.clear();
    events_.clear();
    return *this;
}

Script& Script::loses_connection() {
    session.connection_lost();
    return *this;
}

void Script::drain(ByteView input) {
    for (;;) {
        const auto event = session.next(input, now_, out_);
        if (std::holds_alternative<NeedInput>(event)) break;
        events_.push_back(std::visit(EventText{}, event));
    }
}

Script& Script::receives(const Bytes& bytes) {
    if (arrival_ == Arrival::whole) {
        drain(bytes);
        return *this;
    }
    // Every prefix of the packet is offered, each from memory of its own size, so that the
    // sanitizer sees a look beyond its end.
    for (std::size_t size = 1; size <= bytes.size(); ++size) {
        const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        ByteView input{prefix};
        const auto before = events_.size();
        const auto event = session.next(input, now_, out_);
        if (!std::holds_alternative<NeedInput>(event)) {
            events_.push_back(std::visit(EventText{}, event));
        }
        if (input.size() != prefix.size() || events_.size() != before) {
            EXPECT_TRUE(input.empty() || !session.connected());
            drain(input);
            const Bytes rest(bytes.begin() + static_cast<std::ptrdiff_t>(size), bytes.end());
            return rest.empty() ? *this : receives(rest);
        }
    }
    return *this;
}

Script& Script::does(const std::function<void(ClientSession&, Instant, WireBuffer&)>& action) {
    action(session, now_, out_);
    return *this;
}

Script& Script::publishes(QoS qos,
                          std::string_view topic,
                          std::string_view payload,
                          std::string_view expected,
                          ByteView property_block) {
    const auto sent = session.publish(
        {.topic = topic, .payload = as_bytes(payload), .qos = qos, .properties = property_block},
        next_token_,
        now_,
        out_);
    if (sent) ++next_token_;
    EXPECT_EQ(sent ? "ok" : mqtt::name(sent.error()), expected);
    return *this;
}

Script& Script::subscribes(std::string_view filter, std::string_view expected) {
    const std::array<SubscriptionView, 1> entries{
        {{.filter = filter, .options = {.qos = QoS::exactly_once}}}};
    const auto sent = session.subscribe(entries, {}, now_, out_);
    EXPECT_EQ(sent ? "ok" : mqtt::name(sent.error()), expected);
    return *this;
}

Script& Script::sends(const std::vector<std::string>& packets) {
    const Bytes all = out_.take();
    std::vector<std::string> sent;
    ByteView rest{all};
    // A decoder knows the version from CONNECT; scripts that look at a later part provide one.
    std::optional<Decoder> server{DecodeLimits{}};
    WireBuffer greeting;
    const bool greets = !rest.empty() && rest.front() == std::byte{0x10};
    if (!greets) {
        EXPECT_EQ(encode_connect(greeting, {.version = session.options().version}),
                  Encoded::written);
        const Bytes connect = greeting.take();
        EXPECT_TRUE(server->next(connect));
    }
    while (!rest.empty()) {
        const auto step = server->next(rest);
        if (!step || !std::holds_alternative<Decoded>(*step)) {
            sent.push_back(fmt::format("broken: {}", step ? "cut short" : step.error().detail));
            break;
        }
        const auto& decoded = std::get<Decoded>(*step);
        sent.push_back(std::visit(PacketText{}, decoded.packet));
        rest = rest.subspan(decoded.bytes_used);
    }
    EXPECT_THAT(sent, ::testing::ElementsAreArray(packets));
    return *this;
}

Script& Script::tells(const std::vector<std::string>& events) {
    EXPECT_THAT(events_, ::testing::ElementsAreArray(events));
    events_.clear();
    return *this;
}

Script& Script::expects(bool condition, std::string_view what) {
    EXPECT_TRUE(condition) << what;
    return *this;
}

void play(const ClientOptions& options, const std::function<void(Script&)>& script) {
    for (const auto arrival : {Arrival::whole, Arrival::byte_by_byte}) {
        SCOPED_TRACE(arrival == Arrival::whole ? "packets arrive whole" : "byte by byte");
        Script player{options, arrival};
        script(player);
    }
}

}  // namespace stentor::mqtt::test
