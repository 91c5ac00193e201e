#include "persistence/record_codec.hpp"

#include "base/assert.hpp"
#include "protocol/stored_topic.hpp"

#include <concepts>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

constexpr std::byte kVersion{1};

// The second byte of a record; docs/formats/record.md. Numbers are never used again.
enum class Kind : std::uint8_t {
    message = 1,
    inbound_forgotten = 2,
    attached = 3,
    detached = 4,
    session_ended = 5,
    subscribed = 6,
    unsubscribed = 7,
    delivery_state = 8,
    // 9 was a retained_replay that did not say of which SUBSCRIBE
    will_forgotten = 10,
    retained_replay = 11,
    retained_forgotten = 12,
};

// Flag bits, each record kind has its own.
constexpr std::uint8_t kForDurableSessions = 1;
constexpr std::uint8_t kSetsRetained = 2;
constexpr std::uint8_t kHasInbound = 4;
constexpr std::uint8_t kFiresWill = 8;

constexpr std::uint8_t kDiscardsEarlierState = 1;
constexpr std::uint8_t kHasWill = 2;
constexpr std::uint8_t kHasUser = 4;

constexpr std::uint8_t kKeepsWill = 1;

constexpr std::uint8_t kKeepsSince = 1;
constexpr std::uint8_t kReplaysRetained = 2;

constexpr std::uint8_t kWhole = 1;
constexpr std::uint8_t kHasLoss = 2;

// An unfinished delivery's QoS and phase share a byte: bits 0-1 and bit 2.
constexpr std::uint8_t kQosBits = 3;
constexpr unsigned kPhaseShift = 2;
constexpr std::uint8_t kRetainBit = 8;

[[nodiscard]] constexpr std::uint8_t flag(bool set, std::uint8_t bit) noexcept {
    return set ? bit : std::uint8_t{0};
}

class FieldWriter {
  public:
    explicit FieldWriter(Bytes& out) noexcept : out_{out} {}

    void byte(std::uint8_t value) { out_.push_back(std::byte{value}); }

    void varint(std::uint64_t value) {
        while (value >= 0x80U) {
            byte(static_cast<std::uint8_t>(value | 0x80U));
            value >>= 7U;
        }
        byte(static_cast<std::uint8_t>(value));
    }

    void text(std::string_view value) {
        varint(value.size());
        const ByteView bytes = as_bytes(value);
        out_.insert(out_.end(), bytes.begin(), bytes.end());
    }

    // Zigzag, so that small times on either side of the origin are short.
    void instant(Instant at) {
        const std::int64_t count = at.time_since_epoch().count();
        varint((static_cast<std::uint64_t>(count) << 1U) ^
               (count < 0 ? ~std::uint64_t{0} : std::uint64_t{0}));
    }

    void message(const MessagePtr& message) {
        STENTOR_ASSERT(message != nullptr, "a record without its message");
        varint(message->serialized_size());
        message->serialize(out_);
    }

    void delivery(const DeliveryState& state) {
        byte(static_cast<std::uint8_t>(flag(state.whole, kWhole) |
                                       flag(state.loss.has_value(), kHasLoss)));
        varint(state.sent_through.value());
        varint(state.done.size());
        for (const PacketId id : state.done) varint(id.value());
        varint(state.changed.size());
        for (const Unfinished& entry : state.changed) {
            varint(entry.seq.value());
            varint(entry.packet_id.value());
            byte(static_cast<std::uint8_t>(static_cast<unsigned>(entry.qos) |
                                           static_cast<unsigned>(entry.phase) << kPhaseShift |
                                           flag(entry.retain, kRetainBit)));
        }
        if (!state.loss) return;
        varint(state.loss->messages);
        byte(static_cast<std::uint8_t>(state.loss->reason));
    }

  private:
    Bytes& out_;
};

template <class T>
using Field = Result<T, RecordError>;

class FieldReader {
  public:
    explicit FieldReader(ByteView bytes) noexcept : bytes_{bytes} {}

    [[nodiscard]] bool at_end() const noexcept { return offset_ == bytes_.size(); }
    [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - offset_; }

    [[nodiscard]] RecordError error(RecordError::Reason reason, const char* field) const noexcept {
        return {.reason = reason, .field = field, .offset = offset_};
    }
    [[nodiscard]] RecordError bad_value(const char* field) const noexcept {
        return error(RecordError::Reason::bad_value, field);
    }

    [[nodiscard]] Field<std::uint8_t> byte(const char* field) {
        if (at_end()) return error(RecordError::Reason::truncated, field);
        return std::to_integer<std::uint8_t>(bytes_[offset_++]);
    }

    [[nodiscard]] Field<std::uint8_t> flags(const char* field, std::uint8_t known) {
        STENTOR_TRY(const std::uint8_t value, byte(field));
        if ((value & ~known) != 0) return bad_value(field);
        return value;
    }

    // Only the shortest form is accepted: equal records have equal bytes.
    [[nodiscard]] Field<std::uint64_t> varint(const char* field) {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            STENTOR_TRY(const std::uint8_t next, byte(field));
            const std::uint64_t part = next & 0x7FU;
            if (shift == 63 && part > 1) return bad_value(field);
            value |= part << shift;
            if ((next & 0x80U) == 0) {
                if (next == 0 && shift != 0) return bad_value(field);
                return value;
            }
        }
        return bad_value(field);
    }

    template <std::unsigned_integral T>
    [[nodiscard]] Field<T> number(const char* field) {
        STENTOR_TRY(const std::uint64_t value, varint(field));
        if (value > std::numeric_limits<T>::max()) return bad_value(field);
        return static_cast<T>(value);
    }

    // How many entries follow, each of at least `entry_bytes_min` bytes: what is reserved for them
    // is bounded by the bytes that are there.
    [[nodiscard]] Field<std::size_t> count(const char* field, std::size_t entry_bytes_min) {
        STENTOR_TRY(const std::uint64_t value, varint(field));
        if (value > left() / entry_bytes_min) {
            return error(RecordError::Reason::truncated, field);
        }
        return static_cast<std::size_t>(value);
    }

    [[nodiscard]] Field<ByteView> block(const char* field) {
        STENTOR_TRY(const std::uint64_t size, varint(field));
        if (size > left()) return error(RecordError::Reason::truncated, field);
        const ByteView block = bytes_.subspan(offset_, static_cast<std::size_t>(size));
        offset_ += block.size();
        return block;
    }

    [[nodiscard]] Field<std::string> text(const char* field) {
        STENTOR_TRY(const ByteView bytes, block(field));
        return std::string{as_text(bytes)};
    }

    [[nodiscard]] Field<Instant> instant(const char* field) {
        STENTOR_TRY(const std::uint64_t value, varint(field));
        const std::uint64_t sign = (value & 1U) != 0 ? ~std::uint64_t{0} : std::uint64_t{0};
        return Instant{Duration{static_cast<std::int64_t>((value >> 1U) ^ sign)}};
    }

    [[nodiscard]] Field<Seq> seq(const char* field) {
        STENTOR_TRY(const std::uint64_t value, varint(field));
        return Seq{value};
    }

    [[nodiscard]] Field<PacketId> packet_id(const char* field) {
        STENTOR_TRY(const auto value, number<std::uint16_t>(field));
        if (value == 0) return bad_value(field);
        return PacketId{value};
    }

    [[nodiscard]] Field<MessagePtr> message(const char* field) {
        STENTOR_TRY(const ByteView bytes, block(field));
        auto message = mqtt::Message::parse(bytes);
        if (!message) return bad_value(field);
        return MessagePtr{*std::move(message)};
    }

    [[nodiscard]] Field<Unfinished> unfinished() {
        Unfinished entry;
        STENTOR_TRY(entry.seq, seq("delivery.changed.seq"));
        STENTOR_TRY(entry.packet_id, packet_id("delivery.changed.packet_id"));
        constexpr const char* kField = "delivery.changed.qos_and_phase";
        STENTOR_TRY(const std::uint8_t bits,
                    flags(kField, kQosBits | 1U << kPhaseShift | kRetainBit));
        const unsigned qos = bits & kQosBits;
        if (qos != 1 && qos != 2) return bad_value(kField);
        entry.qos = static_cast<mqtt::QoS>(qos);
        entry.phase = static_cast<DeliveryPhase>(bits >> kPhaseShift & 1U);
        entry.retain = (bits & kRetainBit) != 0;
        if (entry.phase == DeliveryPhase::received && entry.qos != mqtt::QoS::exactly_once) {
            return bad_value(kField);
        }
        return entry;
    }

    [[nodiscard]] Field<SessionLoss> loss() {
        SessionLoss loss;
        STENTOR_TRY(loss.messages, varint("delivery.loss.messages"));
        STENTOR_TRY(const std::uint8_t reason, byte("delivery.loss.reason"));
        if (reason > static_cast<std::uint8_t>(LossReason::segment_missing)) {
            return bad_value("delivery.loss.reason");
        }
        loss.reason = static_cast<LossReason>(reason);
        return loss;
    }

    [[nodiscard]] Field<DeliveryState> delivery() {
        DeliveryState state;
        STENTOR_TRY(const std::uint8_t bits, flags("delivery.flags", kWhole | kHasLoss));
        state.whole = (bits & kWhole) != 0;
        STENTOR_TRY(state.sent_through, seq("delivery.sent_through"));
        STENTOR_TRY(const std::size_t done, count("delivery.done", 1));
        state.done.reserve(done);
        for (std::size_t i = 0; i < done; ++i) {
            STENTOR_TRY(const PacketId id, packet_id("delivery.done.packet_id"));
            state.done.push_back(id);
        }
        STENTOR_TRY(const std::size_t changed, count("delivery.changed", 3));
        state.changed.reserve(changed);
        for (std::size_t i = 0; i < changed; ++i) {
            STENTOR_TRY(const Unfinished entry, unfinished());
            state.changed.push_back(entry);
        }
        if ((bits & kHasLoss) != 0) {
            STENTOR_TRY(state.loss, loss());
        }
        return state;
    }

  private:
    ByteView bytes_;
    std::size_t offset_ = 0;
};

// --- one pair per record kind ---

void write(const MessageRecord& record, FieldWriter& out) {
    out.byte(static_cast<std::uint8_t>(flag(record.for_durable_sessions, kForDurableSessions) |
                                       flag(record.sets_retained, kSetsRetained) |
                                       flag(record.inbound.has_value(), kHasInbound) |
                                       flag(!record.fires_will_of.empty(), kFiresWill)));
    if (record.inbound) {
        out.text(record.inbound->client);
        out.varint(record.inbound->packet_id.value());
    }
    if (!record.fires_will_of.empty()) out.text(record.fires_will_of);
    out.message(record.message);
}

Field<Record> read_message(FieldReader& in) {
    MessageRecord record;
    STENTOR_TRY(
        const std::uint8_t bits,
        in.flags("message.flags", kForDurableSessions | kSetsRetained | kHasInbound | kFiresWill));
    record.for_durable_sessions = (bits & kForDurableSessions) != 0;
    record.sets_retained = (bits & kSetsRetained) != 0;
    if ((bits & kHasInbound) != 0) {
        InboundQos2 inbound;
        STENTOR_TRY(inbound.client, in.text("message.inbound.client"));
        STENTOR_TRY(inbound.packet_id, in.packet_id("message.inbound.packet_id"));
        record.inbound = std::move(inbound);
    }
    if ((bits & kFiresWill) != 0) {
        STENTOR_TRY(record.fires_will_of, in.text("message.fires_will_of"));
        if (record.fires_will_of.empty()) return in.bad_value("message.fires_will_of");
    }
    STENTOR_TRY(record.message, in.message("message.message"));
    return Record{std::move(record)};
}

void write(const InboundForgotten& record, FieldWriter& out) {
    out.text(record.client);
    out.varint(record.packet_id.value());
}

Field<Record> read_inbound_forgotten(FieldReader& in) {
    InboundForgotten record;
    STENTOR_TRY(record.client, in.text("inbound_forgotten.client"));
    STENTOR_TRY(record.packet_id, in.packet_id("inbound_forgotten.packet_id"));
    return Record{std::move(record)};
}

void write(const Attached& record, FieldWriter& out) {
    out.byte(static_cast<std::uint8_t>(flag(record.discards_earlier_state, kDiscardsEarlierState) |
                                       flag(record.will.has_value(), kHasWill) |
                                       flag(!record.user.empty(), kHasUser)));
    out.text(record.client);
    out.byte(static_cast<std::uint8_t>(record.version));
    out.varint(record.expiry_seconds);
    out.instant(record.at);
    if (!record.user.empty()) out.text(record.user);
    if (record.will) {
        out.varint(record.will->delay_seconds);
        out.message(record.will->message);
    }
}

Field<Record> read_attached(FieldReader& in) {
    Attached record;
    STENTOR_TRY(const std::uint8_t bits,
                in.flags("attached.flags", kDiscardsEarlierState | kHasWill | kHasUser));
    record.discards_earlier_state = (bits & kDiscardsEarlierState) != 0;
    STENTOR_TRY(record.client, in.text("attached.client"));
    STENTOR_TRY(const std::uint8_t version, in.byte("attached.version"));
    record.version = static_cast<mqtt::ProtocolVersion>(version);
    if (record.version != mqtt::ProtocolVersion::v3_1_1 &&
        record.version != mqtt::ProtocolVersion::v5) {
        return in.bad_value("attached.version");
    }
    STENTOR_TRY(record.expiry_seconds, in.number<std::uint32_t>("attached.expiry_seconds"));
    STENTOR_TRY(record.at, in.instant("attached.at"));
    if ((bits & kHasUser) != 0) {
        STENTOR_TRY(record.user, in.text("attached.user"));
        if (record.user.empty()) return in.bad_value("attached.user");
    }
    if ((bits & kHasWill) != 0) {
        WillRecord will;
        STENTOR_TRY(will.delay_seconds, in.number<std::uint32_t>("attached.will.delay_seconds"));
        STENTOR_TRY(will.message, in.message("attached.will.message"));
        record.will = std::move(will);
    }
    return Record{std::move(record)};
}

void write(const Detached& record, FieldWriter& out) {
    out.byte(flag(record.keeps_will, kKeepsWill));
    out.text(record.client);
    out.varint(record.expiry_seconds);
    out.instant(record.at);
    out.delivery(record.delivery);
}

Field<Record> read_detached(FieldReader& in) {
    Detached record;
    STENTOR_TRY(const std::uint8_t bits, in.flags("detached.flags", kKeepsWill));
    record.keeps_will = (bits & kKeepsWill) != 0;
    STENTOR_TRY(record.client, in.text("detached.client"));
    STENTOR_TRY(record.expiry_seconds, in.number<std::uint32_t>("detached.expiry_seconds"));
    STENTOR_TRY(record.at, in.instant("detached.at"));
    STENTOR_TRY(record.delivery, in.delivery());
    return Record{std::move(record)};
}

void write(const SessionEnded& record, FieldWriter& out) { out.text(record.client); }

Field<Record> read_session_ended(FieldReader& in) {
    SessionEnded record;
    STENTOR_TRY(record.client, in.text("session_ended.client"));
    return Record{std::move(record)};
}

void write(const Subscribed& record, FieldWriter& out) {
    out.text(record.client);
    out.varint(record.subscriptions.size());
    for (const SubscriptionRecord& subscription : record.subscriptions) {
        out.byte(static_cast<std::uint8_t>(flag(subscription.keeps_since, kKeepsSince) |
                                           flag(subscription.replays_retained, kReplaysRetained)));
        out.text(subscription.filter);
        out.byte(std::to_integer<std::uint8_t>(subscription.options.to_byte()));
        out.varint(subscription.subscription_identifier);
    }
}

Field<SubscriptionRecord> read_subscription(FieldReader& in) {
    SubscriptionRecord record;
    STENTOR_TRY(const std::uint8_t bits,
                in.flags("subscribed.flags", kKeepsSince | kReplaysRetained));
    record.keeps_since = (bits & kKeepsSince) != 0;
    record.replays_retained = (bits & kReplaysRetained) != 0;
    STENTOR_TRY(record.filter, in.text("subscribed.filter"));
    STENTOR_TRY(const std::uint8_t options, in.byte("subscribed.options"));
    const auto parsed = mqtt::SubscriptionOptions::from_byte(std::byte{options});
    if (!parsed) return in.bad_value("subscribed.options");
    record.options = *parsed;
    STENTOR_TRY(record.subscription_identifier,
                in.number<std::uint32_t>("subscribed.subscription_identifier"));
    return record;
}

Field<Record> read_subscribed(FieldReader& in) {
    Subscribed record;
    STENTOR_TRY(record.client, in.text("subscribed.client"));
    STENTOR_TRY(const std::size_t count, in.count("subscribed.subscriptions", 4));
    for (std::size_t i = 0; i < count; ++i) {
        STENTOR_TRY(auto subscription, read_subscription(in));
        record.subscriptions.push_back(std::move(subscription));
    }
    return Record{std::move(record)};
}

void write(const Unsubscribed& record, FieldWriter& out) {
    out.text(record.client);
    out.varint(record.filters.size());
    for (const std::string& filter : record.filters) out.text(filter);
}

Field<Record> read_unsubscribed(FieldReader& in) {
    Unsubscribed record;
    STENTOR_TRY(record.client, in.text("unsubscribed.client"));
    STENTOR_TRY(const std::size_t count, in.count("unsubscribed.filters", 1));
    for (std::size_t i = 0; i < count; ++i) {
        STENTOR_TRY(auto filter, in.text("unsubscribed.filter"));
        record.filters.push_back(std::move(filter));
    }
    return Record{std::move(record)};
}

void write(const DeliveryState& record, FieldWriter& out) {
    out.text(record.client);
    out.delivery(record);
}

Field<Record> read_delivery_state(FieldReader& in) {
    STENTOR_TRY(auto client, in.text("delivery.client"));
    STENTOR_TRY(DeliveryState record, in.delivery());
    record.client = std::move(client);
    return Record{std::move(record)};
}

void write(const RetainedReplay& record, FieldWriter& out) {
    out.text(record.client);
    out.text(record.filter);
    out.varint(record.until.value());
    out.text(record.next_topic);
    out.delivery(record.delivery);
}

Field<Record> read_retained_replay(FieldReader& in) {
    RetainedReplay record;
    STENTOR_TRY(record.client, in.text("retained_replay.client"));
    STENTOR_TRY(record.filter, in.text("retained_replay.filter"));
    STENTOR_TRY(record.until, in.seq("retained_replay.until"));
    STENTOR_TRY(record.next_topic, in.text("retained_replay.next_topic"));
    STENTOR_TRY(record.delivery, in.delivery());
    return Record{std::move(record)};
}

void write(const WillForgotten& record, FieldWriter& out) { out.text(record.client); }

Field<Record> read_will_forgotten(FieldReader& in) {
    WillForgotten record;
    STENTOR_TRY(record.client, in.text("will_forgotten.client"));
    return Record{std::move(record)};
}

void write(const RetainedForgotten& record, FieldWriter& out) {
    out.text(record.topic);
    out.varint(record.seq.value());
}

Field<Record> read_retained_forgotten(FieldReader& in) {
    RetainedForgotten record;
    STENTOR_TRY(record.topic, in.text("retained_forgotten.topic"));
    STENTOR_TRY(record.seq, in.seq("retained_forgotten.seq"));
    return Record{std::move(record)};
}

template <class T>
constexpr Kind kKindOf = [] {
    if constexpr (std::is_same_v<T, MessageRecord>) return Kind::message;
    if constexpr (std::is_same_v<T, InboundForgotten>) return Kind::inbound_forgotten;
    if constexpr (std::is_same_v<T, Attached>) return Kind::attached;
    if constexpr (std::is_same_v<T, Detached>) return Kind::detached;
    if constexpr (std::is_same_v<T, SessionEnded>) return Kind::session_ended;
    if constexpr (std::is_same_v<T, Subscribed>) return Kind::subscribed;
    if constexpr (std::is_same_v<T, Unsubscribed>) return Kind::unsubscribed;
    if constexpr (std::is_same_v<T, DeliveryState>) return Kind::delivery_state;
    if constexpr (std::is_same_v<T, RetainedReplay>) return Kind::retained_replay;
    if constexpr (std::is_same_v<T, WillForgotten>) return Kind::will_forgotten;
    if constexpr (std::is_same_v<T, RetainedForgotten>) return Kind::retained_forgotten;
}();

Field<Record> read_body(std::uint8_t kind, FieldReader& in) {
    switch (static_cast<Kind>(kind)) {
        case Kind::message:
            return read_message(in);
        case Kind::inbound_forgotten:
            return read_inbound_forgotten(in);
        case Kind::attached:
            return read_attached(in);
        case Kind::detached:
            return read_detached(in);
        case Kind::session_ended:
            return read_session_ended(in);
        case Kind::subscribed:
            return read_subscribed(in);
        case Kind::unsubscribed:
            return read_unsubscribed(in);
        case Kind::delivery_state:
            return read_delivery_state(in);
        case Kind::retained_replay:
            return read_retained_replay(in);
        case Kind::will_forgotten:
            return read_will_forgotten(in);
        case Kind::retained_forgotten:
            return read_retained_forgotten(in);
    }
    return in.bad_value("kind");
}

}  // namespace

std::string to_string(const RecordError& error) {
    std::string text{error.field};
    switch (error.reason) {
        case RecordError::Reason::truncated:
            text += ": the record ends within this field";
            break;
        case RecordError::Reason::bad_value:
            text += ": impossible value";
            break;
        case RecordError::Reason::trailing:
            text += ": bytes follow its end";
            break;
        case RecordError::Reason::newer_version:
            text += ": written by a newer version";
            break;
    }
    return text + " (at byte " + std::to_string(error.offset) + ")";
}

void throw_exception_from_error(const RecordError& /*error*/,
                                const boost::source_location& /*at*/) {
    assertion_failed(__FILE__, __LINE__, "has_value()", "value() of a failed parse_record()");
}

void encode_record(const Record& record, Bytes& out) {
    FieldWriter writer{out};
    writer.byte(std::to_integer<std::uint8_t>(kVersion));
    std::visit(
        [&writer]<class T>(const T& alternative) {
            writer.byte(static_cast<std::uint8_t>(kKindOf<T>));
            write(alternative, writer);
        },
        record);
}

namespace {

/// The record's kind, behind its version.
Field<std::uint8_t> read_kind(FieldReader& in) {
    STENTOR_TRY(const std::uint8_t version, in.byte("version"));
    if (std::byte{version} > kVersion) {
        return RecordError{RecordError::Reason::newer_version, "version", 0};
    }
    if (std::byte{version} != kVersion) return in.bad_value("version");
    return in.byte("kind");
}

}  // namespace

Result<std::optional<StoredMessageHead>, RecordError> parse_message_head(ByteView bytes) {
    FieldReader in{bytes};
    STENTOR_TRY(const std::uint8_t kind, read_kind(in));
    if (kind != static_cast<std::uint8_t>(Kind::message)) {
        return std::optional<StoredMessageHead>{};
    }
    STENTOR_TRY(const std::uint8_t bits, in.byte("message.flags"));
    if ((bits & kHasInbound) != 0) {
        STENTOR_TRY_VOID(in.block("message.inbound.client"));
        STENTOR_TRY_VOID(in.packet_id("message.inbound.packet_id"));
    }
    if ((bits & kFiresWill) != 0) {
        STENTOR_TRY_VOID(in.block("message.fires_will_of"));
    }
    STENTOR_TRY(const ByteView message, in.block("message.message"));
    const std::string_view topic = mqtt::stored_topic(message);
    if (topic.empty()) return in.bad_value("message.message");
    return std::optional{StoredMessageHead{
        .topic = topic, .for_durable_sessions = (bits & kForDurableSessions) != 0}};
}

Result<Record, RecordError> parse_record(ByteView bytes) {
    FieldReader in{bytes};
    STENTOR_TRY(const std::uint8_t kind, read_kind(in));
    STENTOR_TRY(Record record, read_body(kind, in));
    if (!in.at_end()) return in.error(RecordError::Reason::trailing, "record");
    return record;
}

}  // namespace stentor::store
