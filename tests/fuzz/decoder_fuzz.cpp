// The decoder on any bytes. The first byte chooses side and version, the rest is what arrives.
// Whatever is decoded must lie within the input, decode again to the same from exactly its own
// bytes, ask for more when one of them is missing, and, for a PUBLISH, survive the way to a
// subscriber of either version and to the disk and back.

#include "base/assert.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/message.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <memory>

namespace {

using namespace stentor;        // NOLINT(google-build-using-namespace): a test program
using namespace stentor::mqtt;  // NOLINT(google-build-using-namespace)

/// A decoder as the byte says, and for a server one that has had its CONNECT or not.
Decoder make_decoder(std::uint8_t choice) {
    const DecodeLimits limits{.packet_bytes_max = 1U << 20U, .connect_bytes_max = 1U << 16U};
    const auto version = (choice & 1U) != 0 ? ProtocolVersion::v5 : ProtocolVersion::v3_1_1;
    if ((choice & 2U) != 0) return Decoder{version, limits};
    Decoder decoder{limits};
    if ((choice & 4U) != 0) {
        WireBuffer connect;
        STENTOR_ASSERT(encode_connect(connect, {.version = version}) == Encoded::written);
        STENTOR_ASSERT(decoder.next(connect.take()).has_value());
    }
    return decoder;
}

void check_inside(ByteView outer, ByteView inner) {
    if (inner.empty()) return;
    STENTOR_ASSERT(inner.data() >= outer.data() &&
                   inner.data() + inner.size() <= outer.data() + outer.size());
}
void check_inside(ByteView outer, std::string_view inner) { check_inside(outer, as_bytes(inner)); }

void check_properties(ByteView input, const PropertiesView& properties) {
    check_inside(input, properties.bytes());
    std::size_t size = 0;
    for (const PropertyEntry& entry : properties.entries()) {
        STENTOR_ASSERT(properties.has(entry.id));
        size += entry.wire.size();
    }
    STENTOR_ASSERT(size == properties.bytes().size());
    for (const UserProperty user : properties.user_properties()) {
        check_inside(input, user.name);
        check_inside(input, user.value);
    }
    for (const SubscriptionIdentifier id : properties.subscription_identifiers()) {
        STENTOR_ASSERT(id.value >= 1 && id.value <= kVarintMax);
    }
    check_inside(input, properties.reason_string().value_or(""));
    check_inside(input, properties.correlation_data().value_or(ByteView{}));
    STENTOR_ASSERT(properties.topic_alias() != 0 && properties.receive_maximum() != 0);
}

void check_delivery(const Message& message, ProtocolVersion version) {
    const std::array<std::uint32_t, 2> identifiers{1, kVarintMax};
    const bool v5 = version == ProtocolVersion::v5;
    const PublishDelivery delivery{.qos = QoS::at_least_once,
                                   .dup = true,
                                   .retain = true,
                                   .packet_id = PacketId{7},
                                   .message_expiry_left_seconds = message.message_expiry_seconds(),
                                   .subscription_identifiers = identifiers,
                                   .topic_alias = static_cast<std::uint16_t>(v5 ? 3 : 0)};
    WireBuffer wire;
    encode_publish(wire, version, message, delivery);
    STENTOR_ASSERT(wire.size() == publish_wire_size(version, message, delivery));
    const Bytes sent = wire.take();
    Decoder client{version, {.packet_bytes_max = 1U << 21U}};
    const auto step = client.next(sent);
    STENTOR_ASSERT(step.has_value());
    const auto& publish = std::get<PublishView>(std::get<Decoded>(*step).packet);
    STENTOR_ASSERT(publish.topic == message.topic() && equal(publish.payload, message.payload()));
    const auto last =
        publish.properties.bytes().size() - (v5 ? message.property_bytes().size() : 0);
    if (v5) {
        STENTOR_ASSERT(equal(publish.properties.bytes().subspan(last), message.property_bytes()));
    }
}

void check_message(const PublishView& publish) {
    if (publish.topic.empty()) return;
    const auto message =
        Message::create({.topic = publish.topic,
                         .properties = publish.properties,
                         .payload = publish.payload,
                         .publisher = "publisher",
                         .qos = publish.qos,
                         .retain = publish.retain,
                         .message_expiry_seconds = publish.properties.message_expiry_interval()});
    Bytes stored;
    message->serialize(stored);
    const auto parsed = Message::parse(stored);
    STENTOR_ASSERT(parsed.has_value());
    Bytes again;
    (*parsed)->serialize(again);
    STENTOR_ASSERT(stored == again && stored.size() == message->serialized_size());
    check_delivery(*message, ProtocolVersion::v5);
    check_delivery(*message, ProtocolVersion::v3_1_1);
}

struct Check {
    ByteView input;

    void operator()(const ConnectView& packet) const {
        check_properties(input, packet.properties);
        check_inside(input, packet.client_id);
        if (packet.will) {
            check_properties(input, packet.will->properties);
            check_inside(input, packet.will->topic);
            check_inside(input, packet.will->payload);
        }
        check_inside(input, packet.user_name.value_or(""));
        check_inside(input, packet.password.value_or(ByteView{}));
    }
    void operator()(const PublishView& packet) const {
        STENTOR_ASSERT((packet.qos == QoS::at_most_once) == (packet.packet_id == kNoPacketId));
        check_properties(input, packet.properties);
        check_inside(input, packet.topic);
        check_inside(input, packet.payload);
        check_message(packet);
    }
    void operator()(const SubscribeView& packet) const {
        check_properties(input, packet.properties);
        std::size_t count = 0;
        for (const SubscriptionView entry : packet.subscriptions) {
            check_inside(input, entry.filter);
            STENTOR_ASSERT(!entry.filter.empty() && entry.options.qos <= QoS::exactly_once);
            ++count;
        }
        STENTOR_ASSERT(count == packet.subscriptions.size() && count > 0);
    }
    void operator()(const UnsubscribeView& packet) const {
        check_properties(input, packet.properties);
        std::size_t count = 0;
        for (const std::string_view filter : packet.filters) {
            check_inside(input, filter);
            ++count;
        }
        STENTOR_ASSERT(count == packet.filters.size() && count > 0);
    }
    void operator()(const PingreqView& /*packet*/) const {}
    void operator()(const PingrespView& /*packet*/) const {}
    void operator()(const auto& packet) const { check_properties(input, packet.properties); }
};

/// Decodes `input` with a copy of `decoder` from memory of exactly that size.
bool decodes(Decoder decoder, ByteView input, std::size_t type) {
    const auto copy = std::make_unique<std::byte[]>(input.size());
    std::copy(input.begin(), input.end(), copy.get());
    const auto step = decoder.next({copy.get(), input.size()});
    STENTOR_ASSERT(step.has_value(), "less input, and now an error");
    const auto* decoded = std::get_if<Decoded>(&*step);
    if (decoded == nullptr) return false;
    STENTOR_ASSERT(decoded->packet.index() == type && decoded->bytes_used == input.size());
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    Decoder decoder = make_decoder(data[0]);
    ByteView input = std::as_bytes(std::span{data + 1, size - 1});
    for (;;) {
        const Decoder before = decoder;
        const auto step = decoder.next(input);
        if (!step) {
            STENTOR_ASSERT(is_failure(step.error().reason) && *step.error().detail != '\0');
            return 0;
        }
        if (const auto* more = std::get_if<NeedMore>(&*step)) {
            STENTOR_ASSERT(more->bytes_min > input.size());
            return 0;
        }
        const auto& decoded = std::get<Decoded>(*step);
        STENTOR_ASSERT(decoded.bytes_used >= 2 && decoded.bytes_used <= input.size());
        const ByteView own = input.first(decoded.bytes_used);
        STENTOR_ASSERT(decodes(before, own, decoded.packet.index()));
        STENTOR_ASSERT(!decodes(before, own.first(own.size() - 1), decoded.packet.index()));
        std::visit(Check{own}, decoded.packet);
        input = input.subspan(decoded.bytes_used);
    }
}
