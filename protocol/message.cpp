#include "protocol/message.hpp"

#include "base/assert.hpp"
#include "protocol/codec/reader.hpp"
#include "protocol/codec/utf8.hpp"
#include "protocol/codec/writer.hpp"
#include "protocol/stored_topic.hpp"

#include <cstring>
#include <limits>
#include <new>

namespace stentor::mqtt {

namespace {

// The bits of the stored form's flags byte; docs/formats/message.md.
constexpr std::uint8_t kFormatVersion = 1;
constexpr std::uint8_t kStoredQosMask = 0x03;
constexpr std::uint8_t kStoredRetain = 0x04;
constexpr std::uint8_t kStoredExpires = 0x08;
constexpr std::uint8_t kStoredKnownFlags = kStoredQosMask | kStoredRetain | kStoredExpires;

HashKey& topic_hash_key() noexcept {
    static constinit HashKey key{.k0 = 0x53'74'65'6e'74'6f'72'00U,
                                 .k1 = 0x74'6f'70'69'63'73'00'01U};
    return key;
}

/// The part of `properties` that travels with the message.
std::size_t forwarded_size(const PropertiesView& properties) noexcept {
    std::size_t size = 0;
    for (const PropertyEntry& entry : properties.entries()) {
        if (is_forwarded(entry.id)) size += entry.wire.size();
    }
    return size;
}

}  // namespace

std::uint64_t topic_hash(std::string_view topic) noexcept {
    return keyed_hash(topic_hash_key(), topic);
}

void set_topic_hash_key(HashKey key) noexcept { topic_hash_key() = key; }

IntrusivePtr<const Message> Message::create(const MessageFields& fields) {
    STENTOR_ASSERT(!fields.topic.empty() && fields.topic.size() <= kStringBytesMax);
    STENTOR_ASSERT(fields.publisher.size() <= kStringBytesMax);
    STENTOR_ASSERT(fields.payload.size() <= kVarintMax);
    const std::size_t properties_size = forwarded_size(fields.properties);
    const std::size_t tail_size =
        properties_size + fields.topic.size() + fields.publisher.size() + fields.payload.size();

    auto* message = new (::operator new(sizeof(Message) + tail_size)) Message;
    message->arrival_ = fields.arrival;
    message->topic_hash_ = mqtt::topic_hash(fields.topic);
    message->payload_size_ = static_cast<std::uint32_t>(fields.payload.size());
    message->properties_size_ = static_cast<std::uint32_t>(properties_size);
    message->expiry_seconds_ = fields.message_expiry_seconds.value_or(0);
    message->expires_ = fields.message_expiry_seconds.has_value();
    message->topic_size_ = static_cast<std::uint16_t>(fields.topic.size());
    message->publisher_size_ = static_cast<std::uint16_t>(fields.publisher.size());
    message->qos_ = fields.qos;
    message->retain_ = fields.retain;

    // Topic, properties, payload: the order in which encode_publish() wants them.
    Writer tail{reinterpret_cast<std::byte*>(message + 1)};
    tail.bytes(as_bytes(fields.topic));
    for (const PropertyEntry& entry : fields.properties.entries()) {
        if (!is_forwarded(entry.id)) continue;
        tail.bytes(entry.wire);
        message->property_mask_ |= std::uint64_t{1} << static_cast<unsigned>(entry.id);
    }
    tail.bytes(fields.payload);
    tail.bytes(as_bytes(fields.publisher));
    return IntrusivePtr<const Message>::adopt(message);
}

void Message::destroy(Message* message) noexcept {
    message->~Message();
    ::operator delete(message);
}

const std::byte* Message::tail() const noexcept {
    return reinterpret_cast<const std::byte*>(this + 1);
}

std::string_view Message::topic() const noexcept { return as_text({tail(), topic_size_}); }

ByteView Message::property_bytes() const noexcept {
    return {tail() + topic_size_, properties_size_};
}

PropertiesView Message::properties() const noexcept {
    return PropertiesView::from_checked(property_bytes(), property_mask_);
}

ByteView Message::payload() const noexcept {
    return {tail() + topic_size_ + properties_size_, payload_size_};
}

std::string_view Message::publisher() const noexcept {
    return as_text({tail() + topic_size_ + properties_size_ + payload_size_, publisher_size_});
}

std::optional<std::uint32_t> Message::message_expiry_seconds() const noexcept {
    if (!expires_) return std::nullopt;
    return expiry_seconds_;
}

bool Message::expired(Instant now) const noexcept {
    return expires_ && now >= saturating_add(arrival_, std::chrono::seconds{expiry_seconds_});
}

std::optional<std::uint32_t> Message::expiry_left_seconds(Instant now) const noexcept {
    if (!expires_) return std::nullopt;
    if (now <= arrival_) return expiry_seconds_;
    if (expired(now)) return 0;
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - arrival_);
    return static_cast<std::uint32_t>(expiry_seconds_ - waited.count());
}

std::size_t Message::bytes() const noexcept {
    return sizeof(Message) + topic_size_ + properties_size_ + payload_size_ + publisher_size_;
}

std::size_t Message::serialized_size() const noexcept {
    constexpr std::size_t kFixed = 1 + 1 + 8 + 4 + 2 + 2 + 4 + 4;
    return kFixed + topic_size_ + properties_size_ + payload_size_ + publisher_size_;
}

void Message::serialize(Bytes& out) const {
    const std::size_t before = out.size();
    out.resize(before + serialized_size());
    Writer writer{out.data() + before};
    writer.u8(kFormatVersion);
    writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(qos_) |
                                        (retain_ ? kStoredRetain : 0U) |
                                        (expires_ ? kStoredExpires : 0U)));
    const auto arrival = static_cast<std::uint64_t>(arrival_.time_since_epoch().count());
    writer.u32(static_cast<std::uint32_t>(arrival >> 32U));
    writer.u32(static_cast<std::uint32_t>(arrival));
    writer.u32(expiry_seconds_);
    writer.string(topic());
    writer.string(publisher());
    writer.u32(properties_size_);
    writer.bytes(property_bytes());
    writer.u32(payload_size_);
    writer.bytes(payload());
}

std::string_view stored_topic(ByteView stored) noexcept {
    constexpr std::size_t kBeforeTopic = 1 + 1 + 8 + 4;
    Reader reader{stored};
    std::uint8_t version = 0;
    ByteView skipped;
    std::string_view topic;
    const bool is_one = reader.u8(version) && version == kFormatVersion &&
                        reader.bytes(kBeforeTopic - 1, skipped) && reader.string(topic);
    return is_one ? topic : std::string_view{};
}

ProtocolResult<IntrusivePtr<const Message>> Message::parse(ByteView stored) {
    const auto bad = [](const char* detail) {
        return ProtocolError{ReasonCode::malformed_packet, detail};
    };
    Reader reader{stored};
    MessageFields fields;
    std::uint8_t version = 0;
    std::uint8_t flags = 0;
    std::uint32_t arrival_high = 0;
    std::uint32_t arrival_low = 0;
    std::uint32_t expiry = 0;
    std::uint32_t properties_size = 0;
    std::uint32_t payload_size = 0;
    ByteView properties;
    if (!reader.u8(version)) return bad("stored message: empty");
    if (version != kFormatVersion) return bad("stored message: unknown format version");
    if (!reader.u8(flags) || !reader.u32(arrival_high) || !reader.u32(arrival_low) ||
        !reader.u32(expiry) || !reader.string(fields.topic) || !reader.string(fields.publisher) ||
        !reader.u32(properties_size) || !reader.bytes(properties_size, properties) ||
        !reader.u32(payload_size) || !reader.bytes(payload_size, fields.payload)) {
        return bad("stored message: ends too early");
    }
    if (!reader.at_end()) return bad("stored message: bytes behind the end");
    if ((flags & ~kStoredKnownFlags) != 0 || (flags & kStoredQosMask) == 3) {
        return bad("stored message: unknown flags");
    }
    const bool expires = (flags & kStoredExpires) != 0;
    if (!expires && expiry != 0) return bad("stored message: expiry without its flag");
    if (payload_size > kVarintMax) return bad("stored message: payload too large");
    if (fields.topic.empty() ||
        scan_topic_name(fields.topic, kStringBytesMax + 1) != TopicNameScan::ok) {
        return bad("stored message: not a topic name");
    }
    if (!is_mqtt_text(fields.publisher)) return bad("stored message: publisher is not UTF-8");
    STENTOR_TRY(fields.properties, parse_properties(properties, PropertyContext::will));
    if (forwarded_size(fields.properties) != properties.size()) {
        return bad("stored message: a property that is not forwarded");
    }
    fields.qos = static_cast<QoS>(flags & kStoredQosMask);
    fields.retain = (flags & kStoredRetain) != 0;
    fields.arrival = Instant{
        Duration{static_cast<std::int64_t>(std::uint64_t{arrival_high} << 32U | arrival_low)}};
    if (expires) fields.message_expiry_seconds = expiry;
    return create(fields);
}

}  // namespace stentor::mqtt
