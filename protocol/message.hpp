#pragma once
// A published message: immutable, counted, one allocation. The only memory two shards both see.
// Any thread may read and release it.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/intrusive.hpp"
#include "base/result.hpp"
#include "protocol/codec/properties.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor::mqtt {

/// The hash of a topic name that Message carries and topic indexes use: keyed, because strangers
/// choose topics. The same in the whole process from the first message on; never stored.
[[nodiscard]] std::uint64_t topic_hash(std::string_view topic) noexcept;

/// Replaces the key that tests and tools use by a secret one. At start, before there is a message,
/// an index or a second thread: a hash crosses shards in its message, so the key cannot be theirs.
void set_topic_hash_key(HashKey key) noexcept;

/// What a message is made of; everything is copied.
struct MessageFields {
    std::string_view topic = {};     // not empty: topic aliases are resolved before
    PropertiesView properties = {};  // of PUBLISH or a will; what is not forwarded is left out
    ByteView payload = {};
    std::string_view publisher = {};  // client identifier, for No Local; empty: the broker itself
    QoS qos = QoS::at_most_once;
    bool retain = false;  // as published
    Instant arrival = {};
    std::optional<std::uint32_t> message_expiry_seconds = {};  // not taken from `properties`
};

class Message : public Counted<Message> {
  public:
    /// `topic` and `publisher` are at most kStringBytesMax bytes, payload and properties at most
    /// kVarintMax together: what came in a packet always is.
    [[nodiscard]] static IntrusivePtr<const Message> create(const MessageFields& fields);

    /// Valid while the message lives, like all views below.
    [[nodiscard]] std::string_view topic() const noexcept;
    /// The forwarded properties in their order as wire bytes, without a length.
    [[nodiscard]] ByteView property_bytes() const noexcept;
    [[nodiscard]] PropertiesView properties() const noexcept;
    [[nodiscard]] ByteView payload() const noexcept;
    [[nodiscard]] std::string_view publisher() const noexcept;
    [[nodiscard]] QoS qos() const noexcept { return qos_; }
    [[nodiscard]] bool retain() const noexcept { return retain_; }
    [[nodiscard]] Instant arrival() const noexcept { return arrival_; }
    [[nodiscard]] std::uint64_t topic_hash() const noexcept { return topic_hash_; }
    /// As published; nothing: it never expires.
    [[nodiscard]] std::optional<std::uint32_t> message_expiry_seconds() const noexcept;

    /// Whether its Message Expiry Interval has passed at `now` [MQTT-3.3.2-5].
    [[nodiscard]] bool expired(Instant now) const noexcept;
    /// What a receiver is told: the interval less the whole seconds the message has waited
    /// [MQTT-3.3.2-6]; at least 1 as long as it has not expired, 0 afterwards.
    [[nodiscard]] std::optional<std::uint32_t> expiry_left_seconds(Instant now) const noexcept;

    /// The memory it occupies.
    [[nodiscard]] std::size_t bytes() const noexcept;

    /// How many bytes serialize() appends.
    [[nodiscard]] std::size_t serialized_size() const noexcept;
    /// Appends the stored form (docs/formats/message.md).
    void serialize(Bytes& out) const;
    /// Reads a message that fills `stored` exactly. Fails with malformed_packet if it is not one.
    [[nodiscard]] static ProtocolResult<IntrusivePtr<const Message>> parse(ByteView stored);

    /// For Counted: the texts and bytes stand behind the object in the same allocation.
    static void destroy(Message* message) noexcept;

  private:
    Message() noexcept = default;
    ~Message() = default;
    [[nodiscard]] const std::byte* tail() const noexcept;

    Instant arrival_;
    std::uint64_t topic_hash_ = 0;
    std::uint64_t property_mask_ = 0;
    std::uint32_t payload_size_ = 0;
    std::uint32_t properties_size_ = 0;
    std::uint32_t expiry_seconds_ = 0;
    std::uint16_t topic_size_ = 0;
    std::uint16_t publisher_size_ = 0;
    QoS qos_ = QoS::at_most_once;
    bool retain_ = false;
    bool expires_ = false;
};

}  // namespace stentor::mqtt
