#pragma once
// Records of every kind with every field, from a seed, for round trips.
// Pure. One generator per thread.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"
#include "persistence/record.hpp"
#include "protocol/message.hpp"

#include <cstdint>
#include <string>

namespace stentor::store::samples {

class RandomRecords {
  public:
    explicit RandomRecords(std::uint64_t seed) : random_{seed} {}

    [[nodiscard]] Record next() {
        switch (random_.below(11)) {
            case 0:
                return message_record();
            case 1:
                return InboundForgotten{.client = text(), .packet_id = packet_id()};
            case 2:
                return attached_record();
            case 3:
                return detached_record();
            case 4:
                return SessionEnded{.client = text()};
            case 5:
                return subscribed_record();
            case 6:
                return unsubscribed_record();
            case 7: {
                DeliveryState state = delivery();
                state.client = text();
                return state;
            }
            case 8:
                return RetainedReplay{.client = text(),
                                      .filter = text(),
                                      .until = Seq{random_.between(0, 1'000'000)},
                                      .next_topic = coin() ? text() : std::string{},
                                      .delivery = delivery()};
            case 9:
                return RetainedForgotten{.topic = text(),
                                         .seq = Seq{random_.between(0, 1'000'000)}};
            default:
                return WillForgotten{.client = text()};
        }
    }

    [[nodiscard]] Random& random() noexcept { return random_; }

  private:
    [[nodiscard]] bool coin() { return random_.chance(1, 2); }

    /// Never empty.
    [[nodiscard]] std::string text() {
        std::string text(random_.between(1, coin() ? 8 : 300), ' ');
        for (char& c : text) c = static_cast<char>('a' + random_.below(26));
        return text;
    }

    [[nodiscard]] PacketId packet_id() {
        return PacketId{static_cast<std::uint16_t>(random_.between(1, 65'535))};
    }

    /// Of any magnitude.
    [[nodiscard]] std::uint64_t number() { return random_.next() >> random_.below(64); }
    [[nodiscard]] std::uint32_t number32() { return static_cast<std::uint32_t>(number()); }
    [[nodiscard]] Instant instant() {
        const auto count = static_cast<Duration::rep>(number() >> 1U);
        return Instant{Duration{coin() ? count : -count}};
    }

    [[nodiscard]] MessagePtr any_message() {
        const std::string topic = text();
        const std::string payload(random_.below(200), '\x7f');
        const std::string publisher = text();
        mqtt::MessageFields fields;
        fields.topic = topic;
        fields.payload = as_bytes(payload);
        fields.publisher = publisher;
        fields.qos = static_cast<mqtt::QoS>(random_.below(3));
        fields.retain = coin();
        fields.arrival = instant();
        if (coin()) fields.message_expiry_seconds = number32();
        return mqtt::Message::create(fields);
    }

    [[nodiscard]] Record message_record() {
        MessageRecord record;
        record.message = any_message();
        record.for_durable_sessions = coin();
        record.sets_retained = coin();
        if (coin()) record.inbound = InboundQos2{.client = text(), .packet_id = packet_id()};
        if (coin()) record.fires_will_of = text();
        return record;
    }

    [[nodiscard]] Record attached_record() {
        Attached record;
        record.client = text();
        record.version = coin() ? mqtt::ProtocolVersion::v5 : mqtt::ProtocolVersion::v3_1_1;
        record.discards_earlier_state = coin();
        record.expiry_seconds = number32();
        if (coin()) record.user = text();
        if (coin()) {
            record.will = WillRecord{.message = any_message(), .delay_seconds = number32()};
        }
        record.at = instant();
        return record;
    }

    [[nodiscard]] DeliveryState delivery() {
        DeliveryState state;
        state.sent_through = Seq{number()};
        state.whole = coin();
        for (std::uint64_t i = random_.below(4); i != 0; --i) state.done.push_back(packet_id());
        for (std::uint64_t i = random_.below(4); i != 0; --i) {
            const bool twice = coin();
            state.changed.push_back(
                {.seq = Seq{number()},
                 .packet_id = packet_id(),
                 .qos = twice ? mqtt::QoS::exactly_once : mqtt::QoS::at_least_once,
                 .phase = twice && coin() ? DeliveryPhase::received : DeliveryPhase::sent});
        }
        if (coin()) {
            state.loss = SessionLoss{.messages = number(),
                                     .reason = static_cast<LossReason>(random_.below(4))};
        }
        return state;
    }

    [[nodiscard]] Record detached_record() {
        Detached record;
        record.client = text();
        record.expiry_seconds = number32();
        record.keeps_will = coin();
        record.at = instant();
        record.delivery = delivery();
        return record;
    }

    [[nodiscard]] Record subscribed_record() {
        Subscribed record;
        record.client = text();
        for (std::uint64_t i = random_.below(4); i != 0; --i) {
            SubscriptionRecord& subscription = record.subscriptions.emplace_back();
            subscription.filter = text();
            subscription.options.qos = static_cast<mqtt::QoS>(random_.below(3));
            subscription.options.no_local = coin();
            subscription.options.retain_as_published = coin();
            subscription.options.retain_handling =
                static_cast<mqtt::RetainHandling>(random_.below(3));
            subscription.subscription_identifier = number32();
            subscription.keeps_since = coin();
            subscription.replays_retained = coin();
        }
        return record;
    }

    [[nodiscard]] Record unsubscribed_record() {
        Unsubscribed record;
        record.client = text();
        for (std::uint64_t i = random_.below(4); i != 0; --i) record.filters.push_back(text());
        return record;
    }

    Random random_;
};

}  // namespace stentor::store::samples
