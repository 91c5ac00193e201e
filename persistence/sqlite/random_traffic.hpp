#pragma once
// Records about few sessions and topics from a seed, so that they meet.
// Tests only. One thread.

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/record.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace stentor::store {

class RandomTraffic {
  public:
    explicit RandomTraffic(std::uint64_t seed) : random_{seed} {}

    /// A record for the position after `last`.
    [[nodiscard]] Record next(Seq last) {
        const std::string client = "c" + std::to_string(random_.below(5));
        const std::string topic = "t" + std::to_string(random_.below(4));
        switch (random_.below(12)) {
            case 0: {
                Attached record = samples::attached(client, random_.chance(1, 4) ? 0 : 100);
                record.discards_earlier_state = random_.chance(1, 4);
                record.user = "user of " + client;
                if (random_.chance(1, 2)) {
                    record.will =
                        WillRecord{.message = samples::message(topic), .delay_seconds = 7};
                }
                return record;
            }
            case 1: {
                Detached record;
                record.client = client;
                record.expiry_seconds = random_.chance(1, 4) ? 0 : 50;
                record.keeps_will = random_.chance(1, 2);
                record.at = Instant{Duration{static_cast<std::int64_t>(random_.below(1000))}};
                record.delivery = delivery(last);
                record.delivery.whole = true;
                record.delivery.done.clear();
                return record;
            }
            case 2:
                return SessionEnded{.client = client};
            case 3: {
                Subscribed record = samples::subscribed(client, topic);
                record.subscriptions[0].options.qos = static_cast<mqtt::QoS>(last.value() % 3);
                record.subscriptions[0].replays_retained = random_.chance(1, 2);
                record.subscriptions[0].keeps_since = random_.chance(1, 2);
                return record;
            }
            case 4:
                return Unsubscribed{.client = client, .filters = {topic}};
            case 5: {
                DeliveryState record = delivery(last);
                record.client = client;
                return record;
            }
            case 6: {
                RetainedReplay record;
                record.client = client;
                record.filter = topic;
                // Of the SUBSCRIBE that is the newest, or of an earlier one.
                record.until = Seq{last.value() - last.value() % 8};
                record.next_topic = random_.chance(1, 2) ? "" : "t1";
                record.delivery = delivery(last);
                return record;
            }
            case 7:
                return WillForgotten{.client = client};
            case 8:
                return InboundForgotten{.client = client, .packet_id = PacketId{1}};
            case 9: {
                MessageRecord record = samples::logged(topic);
                if (random_.chance(1, 2)) {
                    record.inbound = InboundQos2{.client = client, .packet_id = PacketId{1}};
                } else {
                    record.fires_will_of = client;
                }
                return record;
            }
            case 10: {
                // Of the value that is there, often; of an earlier one, or of none.
                const auto set = set_.find(topic);
                return RetainedForgotten{.topic = topic,
                                         .seq = set != set_.end() && random_.chance(3, 4)
                                                    ? set->second
                                                    : Seq{last.value() / 2}};
            }
            default:
                set_[topic] = stentor::next(last);
                return samples::retained(topic,
                                         random_.chance(1, 4) ? "" : std::to_string(last.value()));
        }
    }

  private:
    DeliveryState delivery(Seq last) {
        DeliveryState state;
        state.sent_through = last;
        state.whole = random_.chance(1, 4);
        const auto id = [&] { return static_cast<std::uint16_t>(random_.between(1, 4)); };
        if (!state.whole && random_.chance(1, 2)) state.done.emplace_back(id());
        if (last != kNoSeq && random_.chance(1, 2)) {
            state.changed.push_back(
                samples::unfinished(Seq{random_.between(1, last.value())}, id()));
        }
        if (random_.chance(1, 3)) {  // lost, or told
            state.loss = SessionLoss{.messages = random_.below(3),
                                     .reason = static_cast<LossReason>(random_.below(4))};
        }
        return state;
    }

    Random random_;
    std::map<std::string, Seq> set_;  // when each topic was last set
};

}  // namespace stentor::store
