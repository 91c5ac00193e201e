#pragma once
// Messages, records and batches for the tests of everything that stores them.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/record.hpp"
#include "persistence/record_codec.hpp"
#include "protocol/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::store::samples {

[[nodiscard]] inline MessagePtr message(std::string_view topic, std::string_view payload = "x") {
    mqtt::MessageFields fields;
    fields.topic = topic;
    fields.payload = as_bytes(payload);
    fields.publisher = "publisher";
    fields.qos = mqtt::QoS::at_least_once;
    return mqtt::Message::create(fields);
}

/// A message that waits for durable sessions.
[[nodiscard]] inline MessageRecord logged(std::string_view topic, std::string_view payload = "x") {
    MessageRecord record;
    record.message = message(topic, payload);
    record.for_durable_sessions = true;
    return record;
}

/// A retained value that nobody durable subscribes to; an empty payload clears it.
[[nodiscard]] inline MessageRecord retained(std::string_view topic, std::string_view payload) {
    MessageRecord record;
    record.message = message(topic, payload);
    record.sets_retained = true;
    return record;
}

[[nodiscard]] inline Attached attached(std::string_view client,
                                       std::uint32_t expiry_seconds = kNeverExpires) {
    Attached record;
    record.client = client;
    record.expiry_seconds = expiry_seconds;
    return record;
}

[[nodiscard]] inline Subscribed subscribed(std::string_view client, std::string_view filter) {
    Subscribed record;
    record.client = client;
    record.subscriptions.emplace_back().filter = filter;
    record.subscriptions.back().options.qos = mqtt::QoS::exactly_once;
    return record;
}

[[nodiscard]] inline Unfinished unfinished(Seq seq,
                                           std::uint16_t packet_id,
                                           mqtt::QoS qos = mqtt::QoS::at_least_once,
                                           DeliveryPhase phase = DeliveryPhase::sent) {
    return {.seq = seq,
            .packet_id = PacketId{packet_id},
            .qos = qos,
            .phase = phase,
            .retain = seq.value() % 2 == 0};
}

/// The whole delivery state of a session.
[[nodiscard]] inline DeliveryState delivered(std::string_view client,
                                             Seq sent_through,
                                             std::vector<Unfinished> list = {}) {
    DeliveryState state;
    state.client = client;
    state.sent_through = sent_through;
    state.whole = true;
    state.changed = std::move(list);
    return state;
}

[[nodiscard]] inline WriteBatch batch(ShardId shard,
                                      CommitTicket ticket,
                                      std::vector<Record> records) {
    WriteBatch batch;
    batch.shard = shard;
    batch.ticket = ticket;
    for (Record& record : records) batch.add(std::move(record));
    return batch;
}

[[nodiscard]] inline Bytes encoded(const Record& record) {
    Bytes bytes;
    encode_record(record, bytes);
    return bytes;
}

}  // namespace stentor::store::samples
