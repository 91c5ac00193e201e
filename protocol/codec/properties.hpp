#pragma once
// The properties of MQTT 5.0 (section 2.2.2): checking a block once and reading it.
// property_writer.hpp writes one.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace stentor::mqtt {

enum class Property : std::uint8_t {
    payload_format_indicator = 0x01,
    message_expiry_interval = 0x02,
    content_type = 0x03,
    response_topic = 0x08,
    correlation_data = 0x09,
    subscription_identifier = 0x0B,
    session_expiry_interval = 0x11,
    assigned_client_identifier = 0x12,
    server_keep_alive = 0x13,
    authentication_method = 0x15,
    authentication_data = 0x16,
    request_problem_information = 0x17,
    will_delay_interval = 0x18,
    request_response_information = 0x19,
    response_information = 0x1A,
    server_reference = 0x1C,
    reason_string = 0x1F,
    receive_maximum = 0x21,
    topic_alias_maximum = 0x22,
    topic_alias = 0x23,
    maximum_qos = 0x24,
    retain_available = 0x25,
    user_property = 0x26,
    maximum_packet_size = 0x27,
    wildcard_subscription_available = 0x28,
    subscription_identifier_available = 0x29,
    shared_subscription_available = 0x2A,
};

/// Where a block stands; decides which properties may be in it. Some depend on who receives it:
/// a client must not send a Subscription Identifier in PUBLISH [MQTT-3.3.4-6] and no Server
/// Reference in DISCONNECT (3.14.2.2.5), a server no Session Expiry Interval in DISCONNECT
/// [MQTT-3.14.2-2].
enum class PropertyContext : std::uint8_t {
    connect,
    will,
    connack,
    publish_to_server,
    publish_to_client,
    puback,
    pubrec,
    pubrel,
    pubcomp,
    subscribe,
    suback,
    unsubscribe,
    unsuback,
    disconnect_to_server,
    disconnect_to_client,
    auth,
};

/// One property as it stands on the wire.
struct PropertyEntry {
    Property id = Property::user_property;
    ByteView wire;  // identifier and value

    /// The value of an integer property of any width.
    [[nodiscard]] std::uint32_t number() const noexcept;
    /// The value of a string property, or the name of a user property.
    [[nodiscard]] std::string_view text() const noexcept;
    /// The value of a user property.
    [[nodiscard]] std::string_view user_value() const noexcept;
    /// The value of a binary property.
    [[nodiscard]] ByteView binary() const noexcept;
};

/// All properties of a checked block in their order; a forward range over borrowed bytes.
class PropertyEntries {
  public:
    class Iterator {
      public:
        using value_type = PropertyEntry;
        using difference_type = std::ptrdiff_t;
        Iterator() noexcept = default;
        explicit Iterator(ByteView rest) noexcept : rest_{rest} { read(); }
        const PropertyEntry& operator*() const noexcept { return entry_; }
        const PropertyEntry* operator->() const noexcept { return &entry_; }
        Iterator& operator++() noexcept {
            rest_ = rest_.subspan(entry_.wire.size());
            read();
            return *this;
        }
        Iterator operator++(int) noexcept {
            Iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.rest_.size() == b.rest_.size();
        }

      private:
        void read() noexcept;
        ByteView rest_;
        PropertyEntry entry_;
    };

    PropertyEntries() noexcept = default;
    /// `block` must have passed parse_properties().
    explicit PropertyEntries(ByteView block) noexcept : block_{block} {}
    [[nodiscard]] Iterator begin() const noexcept { return Iterator{block_}; }
    [[nodiscard]] Iterator end() const noexcept { return Iterator{block_.last(0)}; }

  private:
    ByteView block_;
};

/// The entries of one property that may stand several times, as `Value{entry}`.
template <Property kId, class Value>
class RepeatedProperty {
  public:
    class Iterator {
      public:
        using value_type = Value;
        using difference_type = std::ptrdiff_t;
        Iterator() noexcept = default;
        Iterator(PropertyEntries::Iterator at, PropertyEntries::Iterator end) noexcept
            : at_{at}, end_{end} {
            skip_others();
        }
        Value operator*() const noexcept { return Value{*at_}; }
        Iterator& operator++() noexcept {
            ++at_;
            skip_others();
            return *this;
        }
        Iterator operator++(int) noexcept {
            Iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.at_ == b.at_;
        }

      private:
        void skip_others() noexcept {
            while (at_ != end_ && at_->id != kId) ++at_;
        }
        PropertyEntries::Iterator at_;
        PropertyEntries::Iterator end_;
    };

    RepeatedProperty() noexcept = default;
    explicit RepeatedProperty(ByteView block) noexcept : entries_{block} {}
    [[nodiscard]] Iterator begin() const noexcept { return {entries_.begin(), entries_.end()}; }
    [[nodiscard]] Iterator end() const noexcept { return {entries_.end(), entries_.end()}; }
    [[nodiscard]] bool empty() const noexcept { return begin() == end(); }

  private:
    PropertyEntries entries_;
};

struct UserProperty {
    UserProperty() noexcept = default;
    explicit UserProperty(const PropertyEntry& entry) noexcept
        : name{entry.text()}, value{entry.user_value()} {}
    std::string_view name;
    std::string_view value;
};

struct SubscriptionIdentifier {
    SubscriptionIdentifier() noexcept = default;
    explicit SubscriptionIdentifier(const PropertyEntry& entry) noexcept : value{entry.number()} {}
    std::uint32_t value = 0;
};

/// A checked property block: the borrowed bytes and which properties are among them (24 bytes, so
/// that a packet without properties costs nothing). An accessor walks the block only if its
/// property is there. Where the spec gives an absent property a meaning, that is returned;
/// otherwise nothing. Strings and bytes live as long as the packet's bytes.
class PropertiesView {
  public:
    /// No properties; what a 3.1.1 packet has.
    PropertiesView() noexcept = default;

    [[nodiscard]] bool empty() const noexcept { return block_.empty(); }
    [[nodiscard]] bool has(Property id) const noexcept {
        return (present_ >> static_cast<unsigned>(id) & 1U) != 0;
    }
    /// What was checked before: `block` and what present() said of it.
    [[nodiscard]] static PropertiesView from_checked(ByteView block,
                                                     std::uint64_t present) noexcept {
        PropertiesView view;
        view.block_ = block;
        view.present_ = present;
        return view;
    }
    /// Bit n: the property with identifier n is there.
    [[nodiscard]] std::uint64_t present() const noexcept { return present_; }
    /// The block without its length.
    [[nodiscard]] ByteView bytes() const noexcept { return block_; }
    [[nodiscard]] PropertyEntries entries() const noexcept { return PropertyEntries{block_}; }

    using UserProperties = RepeatedProperty<Property::user_property, UserProperty>;
    using SubscriptionIdentifiers =
        RepeatedProperty<Property::subscription_identifier, SubscriptionIdentifier>;
    /// In their order on the wire, which forwarding must keep [MQTT-3.3.2-18].
    [[nodiscard]] UserProperties user_properties() const noexcept;
    [[nodiscard]] SubscriptionIdentifiers subscription_identifiers() const noexcept;

    // PUBLISH and will
    [[nodiscard]] bool payload_is_utf8() const noexcept;  // Payload Format Indicator is 1
    [[nodiscard]] std::optional<std::uint32_t> message_expiry_interval() const noexcept;
    [[nodiscard]] std::optional<std::string_view> content_type() const noexcept;
    [[nodiscard]] std::optional<std::string_view> response_topic() const noexcept;
    [[nodiscard]] std::optional<ByteView> correlation_data() const noexcept;
    [[nodiscard]] std::optional<std::uint16_t> topic_alias() const noexcept;
    [[nodiscard]] std::uint32_t will_delay_interval() const noexcept;

    // SUBSCRIBE: at most one there
    [[nodiscard]] std::optional<std::uint32_t> subscription_identifier() const noexcept;

    // CONNECT, CONNACK, DISCONNECT, AUTH
    [[nodiscard]] std::optional<std::uint32_t> session_expiry_interval() const noexcept;
    [[nodiscard]] std::uint16_t receive_maximum() const noexcept;      // absent: 65,535
    [[nodiscard]] std::uint16_t topic_alias_maximum() const noexcept;  // absent: 0
    [[nodiscard]] std::optional<std::uint32_t> maximum_packet_size() const noexcept;
    [[nodiscard]] bool request_problem_information() const noexcept;   // absent: true
    [[nodiscard]] bool request_response_information() const noexcept;  // absent: false
    [[nodiscard]] std::optional<std::string_view> authentication_method() const noexcept;
    [[nodiscard]] std::optional<ByteView> authentication_data() const noexcept;
    [[nodiscard]] std::optional<std::string_view> assigned_client_identifier() const noexcept;
    [[nodiscard]] std::optional<std::uint16_t> server_keep_alive() const noexcept;
    [[nodiscard]] std::optional<std::string_view> response_information() const noexcept;
    [[nodiscard]] std::optional<std::string_view> server_reference() const noexcept;
    [[nodiscard]] std::optional<std::string_view> reason_string() const noexcept;
    [[nodiscard]] QoS maximum_qos() const noexcept;                         // absent: exactly_once
    [[nodiscard]] bool retain_available() const noexcept;                   // absent: true
    [[nodiscard]] bool wildcard_subscription_available() const noexcept;    // absent: true
    [[nodiscard]] bool subscription_identifier_available() const noexcept;  // absent: true
    [[nodiscard]] bool shared_subscription_available() const noexcept;      // absent: true

  private:
    [[nodiscard]] PropertyEntry find(Property id) const noexcept;
    [[nodiscard]] std::optional<std::uint32_t> number(Property id) const noexcept;
    [[nodiscard]] bool flag(Property id, bool absent) const noexcept;
    [[nodiscard]] std::optional<std::string_view> text(Property id) const noexcept;
    [[nodiscard]] std::optional<ByteView> binary(Property id) const noexcept;

    ByteView block_;
    std::uint64_t present_ = 0;
};

/// Checks a block (the bytes behind its length) from end to end: every property is known, allowed
/// in `context`, there once (user properties apart, and subscription identifiers towards a
/// client), in its value range, its strings well-formed UTF-8. The view borrows `block`.
/// Fails with malformed_packet (unknown identifier, overrun, bad UTF-8), topic_alias_invalid
/// (alias 0) or protocol_error (all else).
[[nodiscard]] ProtocolResult<PropertiesView> parse_properties(ByteView block,
                                                              PropertyContext context) noexcept;

/// Whether PUBLISH and will properties of this kind travel on with the message: Payload Format
/// Indicator, Content Type, Response Topic, Correlation Data and User Property do
/// [MQTT-3.3.2-4, -15, -16, -17, -20]. Message Expiry Interval does too, but counted down.
[[nodiscard]] bool is_forwarded(Property id) noexcept;

}  // namespace stentor::mqtt
