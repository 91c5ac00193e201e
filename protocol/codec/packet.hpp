#pragma once
// The packets of MQTT as views: what Decoder returns. Everything in them borrows from the bytes
// that were decoded and dies with them. In a 3.1.1 packet properties are empty and reason codes
// are success (or the nearest one, CONNACK and SUBACK).
// Pure values. Any thread.

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "protocol/codec/properties.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <variant>

namespace stentor::mqtt {

struct WillView {
    std::string_view topic;
    ByteView payload;
    QoS qos = QoS::at_most_once;
    bool retain = false;
    PropertiesView properties;
};

struct ConnectView {
    ProtocolVersion version = ProtocolVersion::v5;
    bool clean_start = false;  // 3.1.1: Clean Session
    std::uint16_t keep_alive_seconds = 0;
    std::string_view client_id;
    std::optional<WillView> will;
    std::optional<std::string_view> user_name;
    std::optional<ByteView> password;
    PropertiesView properties;
};

struct ConnackView {
    bool session_present = false;
    ReasonCode reason = ReasonCode::success;
    PropertiesView properties;
};

struct PublishView {
    bool dup = false;
    bool retain = false;
    QoS qos = QoS::at_most_once;
    PacketId packet_id;      // kNoPacketId with QoS 0
    std::string_view topic;  // empty only in 5.0 with a topic alias
    PropertiesView properties;
    ByteView payload;
};

struct AckView {
    PacketId packet_id;
    ReasonCode reason = ReasonCode::success;
    PropertiesView properties;
};
struct PubackView : AckView {};
struct PubrecView : AckView {};
struct PubrelView : AckView {};
struct PubcompView : AckView {};

/// A topic filter as the client wrote it: well-formed UTF-8, not empty, its grammar not judged.
struct SubscriptionView {
    std::string_view filter;
    SubscriptionOptions options;
};

/// Checked entries of SUBSCRIBE or UNSUBSCRIBE, read as one walks over them.
template <class Entry>
class FilterEntries {
  public:
    class Iterator {
      public:
        using value_type = Entry;
        using difference_type = std::ptrdiff_t;
        Iterator() noexcept = default;
        explicit Iterator(ByteView rest) noexcept : rest_{rest} {}
        [[nodiscard]] Entry operator*() const noexcept;
        Iterator& operator++() noexcept;
        Iterator operator++(int) noexcept {
            Iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.rest_.size() == b.rest_.size();
        }

      private:
        ByteView rest_;
    };

    FilterEntries() noexcept = default;
    /// `payload` holds exactly `count` well-formed entries.
    FilterEntries(ByteView payload, std::size_t count) noexcept
        : payload_{payload}, count_{count} {}
    [[nodiscard]] Iterator begin() const noexcept { return Iterator{payload_}; }
    [[nodiscard]] Iterator end() const noexcept { return Iterator{payload_.last(0)}; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

  private:
    ByteView payload_;
    std::size_t count_ = 0;
};
template <>
SubscriptionView FilterEntries<SubscriptionView>::Iterator::operator*() const noexcept;
template <>
FilterEntries<SubscriptionView>::Iterator&
FilterEntries<SubscriptionView>::Iterator::operator++() noexcept;
template <>
std::string_view FilterEntries<std::string_view>::Iterator::operator*() const noexcept;
template <>
FilterEntries<std::string_view>::Iterator&
FilterEntries<std::string_view>::Iterator::operator++() noexcept;
using Subscriptions = FilterEntries<SubscriptionView>;
using Filters = FilterEntries<std::string_view>;

struct SubscribeView {
    PacketId packet_id;
    PropertiesView properties;
    Subscriptions subscriptions;  // at least one
};

struct UnsubscribeView {
    PacketId packet_id;
    PropertiesView properties;
    Filters filters;  // at least one
};

/// One reason code per filter of the request, in its order.
class ReasonCodes {
  public:
    ReasonCodes() noexcept = default;
    explicit ReasonCodes(ByteView payload) noexcept : payload_{payload} {}
    [[nodiscard]] std::size_t size() const noexcept { return payload_.size(); }
    [[nodiscard]] ReasonCode operator[](std::size_t i) const noexcept {
        return static_cast<ReasonCode>(payload_[i]);
    }

  private:
    ByteView payload_;
};

struct SubackView {
    PacketId packet_id;
    PropertiesView properties;
    ReasonCodes reasons;
};

struct UnsubackView {
    PacketId packet_id;
    PropertiesView properties;
    ReasonCodes reasons;  // none in 3.1.1
};

struct PingreqView {};
struct PingrespView {};

struct DisconnectView {
    ReasonCode reason = ReasonCode::normal_disconnection;
    PropertiesView properties;
};

struct AuthView {
    ReasonCode reason = ReasonCode::success;
    PropertiesView properties;
};

/// In the order of PacketType.
using PacketView = std::variant<ConnectView,
                                ConnackView,
                                PublishView,
                                PubackView,
                                PubrecView,
                                PubrelView,
                                PubcompView,
                                SubscribeView,
                                SubackView,
                                UnsubscribeView,
                                UnsubackView,
                                PingreqView,
                                PingrespView,
                                DisconnectView,
                                AuthView>;

[[nodiscard]] inline PacketType type_of(const PacketView& packet) noexcept {
    return static_cast<PacketType>(packet.index() + 1);
}

}  // namespace stentor::mqtt
