#include "persistence/record_codec.hpp"

#include "persistence/contract/random_records.hpp"
#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

namespace stentor::store {
namespace {

using samples::encoded;
using samples::RandomRecords;
using Reason = RecordError::Reason;

/// Parses from an allocation of exactly that size, so that the address sanitizer sees an over-read.
Result<Record, RecordError> parse_tightly(ByteView bytes) {
    const auto tight = std::make_unique<std::byte[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), tight.get());
    return parse_record({tight.get(), bytes.size()});
}

Bytes hex(std::string_view text) { return from_hex(text).value(); }

TEST(RecordCodec, ComesBackAsItWas) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        RandomRecords records{seed};
        for (int i = 0; i < 40; ++i) {
            const Record record = records.next();
            const Bytes bytes = encoded(record);
            const auto parsed = parse_tightly(bytes);
            ASSERT_TRUE(parsed.has_value()) << to_string(parsed.error()) << ' ' << to_hex(bytes);
            EXPECT_EQ(parsed->index(), record.index());
            EXPECT_EQ(to_hex(encoded(*parsed)), to_hex(bytes));
            EXPECT_EQ(record_bytes(*parsed), record_bytes(record));
        }
    }
}

TEST(RecordCodec, EveryShorterPieceIsTruncated) {
    RandomRecords records{7};
    for (int i = 0; i < 100; ++i) {
        const Bytes bytes = encoded(records.next());
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const auto parsed = parse_tightly(ByteView{bytes}.first(size));
            ASSERT_FALSE(parsed.has_value()) << size << " of " << to_hex(bytes);
            EXPECT_EQ(parsed.error().reason, Reason::truncated) << size << " of " << to_hex(bytes);
            EXPECT_LE(parsed.error().offset, size);
            EXPECT_FALSE(parsed.error().field.empty());
        }
    }
}

TEST(RecordCodec, AHeadSaysWhatTheWholeSays) {
    RandomRecords records{9};
    for (int i = 0; i < 400; ++i) {
        const Record record = records.next();
        const Bytes bytes = encoded(record);
        const auto head = parse_message_head(bytes);
        ASSERT_TRUE(head.has_value()) << to_hex(bytes);
        const auto* published = std::get_if<MessageRecord>(&record);
        ASSERT_EQ(head->has_value(), published != nullptr);
        if (published == nullptr) continue;
        EXPECT_EQ((*head)->topic, published->message->topic());
        EXPECT_EQ((*head)->for_durable_sessions, published->for_durable_sessions);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const auto tight = std::make_unique<std::byte[]>(size);
            std::copy_n(bytes.begin(), size, tight.get());
            EXPECT_FALSE(parse_message_head({tight.get(), size}).has_value()) << size;
        }
    }
}

TEST(RecordCodec, RefusesWhatFollows) {
    RandomRecords records{8};
    for (int i = 0; i < 100; ++i) {
        Bytes bytes = encoded(records.next());
        bytes.push_back(std::byte{0});
        const auto parsed = parse_tightly(bytes);
        ASSERT_FALSE(parsed.has_value());
        EXPECT_EQ(parsed.error(), (RecordError{Reason::trailing, "record", bytes.size() - 1}));
    }
}

TEST(RecordCodec, CorruptionIsAnErrorOrAnotherRecord) {
    RandomRecords records{9};
    Random& random = records.random();
    for (int i = 0; i < 20'000; ++i) {
        Bytes bytes = encoded(records.next());
        for (std::uint64_t flips = random.between(1, 4); flips != 0; --flips) {
            bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1U << random.below(8));
        }
        const auto parsed = parse_tightly(bytes);
        if (!parsed) continue;
        const Bytes again = encoded(*parsed);
        const auto parsed_again = parse_tightly(again);
        ASSERT_TRUE(parsed_again.has_value()) << to_hex(bytes);
        EXPECT_EQ(to_hex(again), to_hex(bytes)) << "every record has one form";
    }
}

TEST(RecordCodec, NoiseIsAnError) {
    Random random{10};
    for (int i = 0; i < 20'000; ++i) {
        Bytes bytes(random.below(64));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
        if (bytes.size() >= 2 && random.chance(9, 10)) {
            bytes[0] = std::byte{1};
            bytes[1] = static_cast<std::byte>(random.between(1, 10));
        }
        const auto parsed = parse_tightly(bytes);
        if (parsed) {
            EXPECT_FALSE(encoded(*parsed).empty());
        }
    }
}

TEST(RecordCodec, HasTheDocumentedBytes) {
    DeliveryState state;
    state.client = "c1";
    state.sent_through = Seq{300};
    state.done = {PacketId{5}};
    state.changed = {
        samples::unfinished(Seq{299}, 6, mqtt::QoS::exactly_once, DeliveryPhase::received)};
    EXPECT_EQ(to_hex(encoded(state)),
              "01080263310"
              "0ac02010501ab020606");
    state.changed[0].retain = true;
    EXPECT_EQ(to_hex(encoded(state)),
              "01080263310"
              "0ac02010501ab02060e");
    state.loss = SessionLoss{.messages = 130, .reason = LossReason::log_full};
    EXPECT_EQ(to_hex(encoded(state)),
              "01080263310"
              "2ac02010501ab02060e820102");

    Attached attached = samples::attached("c1", 60);
    attached.user = "u";
    attached.at = Instant{Duration{-1}};
    EXPECT_EQ(to_hex(encoded(attached)), "010304026331053c010175");

    Subscribed subscribed = samples::subscribed("c1", "a/+");
    subscribed.subscriptions[0].subscription_identifier = 7;
    subscribed.subscriptions[0].replays_retained = true;
    EXPECT_EQ(to_hex(encoded(subscribed)),
              "010602633101"
              "0203612f2b0207");

    EXPECT_EQ(to_hex(encoded(SessionEnded{.client = "c1"})), "0105026331");
}

TEST(RecordCodec, MasksAreNotStored) {
    MessageRecord record = samples::logged("t");
    const Bytes bytes = encoded(record);
    record.wanted_by = 3;
    EXPECT_EQ(encoded(record), bytes);
}

struct Refusal {
    const char* what;
    const char* bytes;
    RecordError error;
};

TEST(RecordCodec, NamesTheFieldItRefuses) {
    const Refusal refusals[] = {
        {"empty", "", {Reason::truncated, "version", 0}},
        {"later version", "02 05 01 63", {Reason::newer_version, "version", 0}},
        {"version 0", "00 05 01 63", {Reason::bad_value, "version", 1}},
        {"unknown kind", "01 0d 01 63", {Reason::bad_value, "kind", 2}},
        {"retired kind", "01 09 01 63", {Reason::bad_value, "kind", 2}},
        {"overlong varint", "01 05 81 00 63", {Reason::bad_value, "session_ended.client", 4}},
        {"varint beyond 64 bits",
         "01 05 ff ff ff ff ff ff ff ff ff 02",
         {Reason::bad_value, "session_ended.client", 12}},
        {"length beyond the end",
         "01 05 ff ff ff ff 0f 63",
         {Reason::truncated, "session_ended.client", 7}},
        {"packet identifier 0",
         "01 02 01 63 00",
         {Reason::bad_value, "inbound_forgotten.packet_id", 5}},
        {"packet identifier 65536",
         "01 02 01 63 80 80 04",
         {Reason::bad_value, "inbound_forgotten.packet_id", 7}},
        {"count beyond the end",
         "01 08 01 63 00 01 ff ff 03",
         {Reason::truncated, "delivery.done", 9}},
        {"QoS 1 received",
         "01 08 01 63 00 01 00 01 01 01 05",
         {Reason::bad_value, "delivery.changed.qos_and_phase", 11}},
        {"QoS 0 unfinished",
         "01 08 01 63 00 01 00 01 01 01 00",
         {Reason::bad_value, "delivery.changed.qos_and_phase", 11}},
        {"unknown flag", "01 03 08 01 63", {Reason::bad_value, "attached.flags", 3}},
        {"version 3 of MQTT", "01 03 00 01 63 03", {Reason::bad_value, "attached.version", 6}},
        {"a user that is empty",
         "01 03 04 01 63 05 00 00 00",
         {Reason::bad_value, "attached.user", 9}},
        {"QoS 3 subscribed",
         "01 06 01 63 01 00 01 61 03 00",
         {Reason::bad_value, "subscribed.options", 9}},
        {"no message", "01 01 00 00", {Reason::bad_value, "message.message", 4}},
    };
    for (const Refusal& refusal : refusals) {
        SCOPED_TRACE(refusal.what);
        const auto parsed = parse_tightly(hex(refusal.bytes));
        ASSERT_FALSE(parsed.has_value());
        EXPECT_EQ(to_string(parsed.error()), to_string(refusal.error));
    }
}

TEST(RecordCodec, AnErrorReadsAsASentence) {
    EXPECT_EQ(to_string({Reason::truncated, "attached.user", 17}),
              "attached.user: the record ends within this field (at byte 17)");
}

}  // namespace
}  // namespace stentor::store
