// What the broker sends, parsed where it lies. Every length is checked: a generator that reads
// past its buffer measures nothing.
#include "tools/bench/stamp.hpp"
#include "tools/bench/traffic.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::bench {
namespace {

using mqtt::PacketType;

constexpr std::uint8_t kPubackByte = 0x40;
constexpr std::uint8_t kPubrecByte = 0x50;
constexpr std::uint8_t kPubrelByte = 0x62;
constexpr std::uint8_t kPubcompByte = 0x70;
constexpr std::size_t kAnswerBytes = 4;

/// Reads a Variable Byte Integer at `at` and moves behind it.
enum class Varint : std::uint8_t { read, incomplete, malformed };

Varint read_varint(ByteView bytes, std::size_t& at, std::size_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (at >= bytes.size()) return Varint::incomplete;
        const auto byte = std::to_integer<std::size_t>(bytes[at++]);
        value |= (byte & 0x7FU) << shift;
        if ((byte & 0x80U) == 0) return Varint::read;
    }
    return Varint::malformed;
}

}  // namespace

std::size_t Traffic::received(std::uint32_t client, ByteView bytes, Instant now) {
    now_ = now;
    answers_size_ = 0;  // what a client that is gone was to get
    std::size_t at = 0;
    while (at < bytes.size()) {
        std::size_t body_at = at + 1;
        std::size_t length = 0;
        const Varint varint = read_varint(bytes, body_at, length);
        if (varint == Varint::malformed) {
            fleet_.fail(client, "the broker sent a malformed length");
            return bytes.size();
        }
        if (varint == Varint::incomplete || bytes.size() - body_at < length) break;
        const std::size_t end = body_at + length;
        const ByteView body = bytes.subspan(body_at, length);
        const auto first = std::to_integer<std::uint8_t>(bytes[at]);
        if (!on_packet(client, first, bytes.subspan(at, end - at), body)) return bytes.size();
        at = end;
    }
    send_answers(client);
    return at;
}

/// False: the client has been given up.
bool Traffic::on_packet(std::uint32_t client, std::uint8_t first, ByteView packet, ByteView body) {
    switch (static_cast<PacketType>(first >> 4U)) {
        case PacketType::publish:
            return on_publish(client, first, body);
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp:
            return on_acknowledgement(client, first, body);
        default:
            // The answers so far belong before what this may send.
            send_answers(client);
            fleet_.on_control(client, packet);
            return fleet_.is_open(client);
    }
}

bool Traffic::on_publish(std::uint32_t client, std::uint8_t first, ByteView body) {
    const unsigned qos = (first >> 1U) & 3U;
    const bool v5 = options_.version == mqtt::ProtocolVersion::v5;
    std::size_t at = body.size() < 2 ? 0 : std::size_t{2} + load_u16(body);
    const std::size_t id_at = at;
    if (qos != 0) at += 2;
    if (at < 2 || at > body.size() || qos == 3) {
        fleet_.fail(client, "the broker sent a malformed PUBLISH");
        return false;
    }
    if (v5) {
        std::size_t properties = 0;
        if (read_varint(body, at, properties) != Varint::read || body.size() - at < properties) {
            fleet_.fail(client, "the broker sent a PUBLISH with malformed properties");
            return false;
        }
        at += properties;
    }
    deliver(client, body.subspan(at), qos == 1 && (first & 8U) != 0 ? Marked::yes : Marked::no);
    if (qos != 0) {
        answer(client, qos == 1 ? kPubackByte : kPubrecByte, load_u16(body.subspan(id_at)));
    }
    return true;
}

void Traffic::deliver(std::uint32_t client, ByteView payload, Marked marked) {
    ++counters_.received;
    const Stamp stamp = read_stamp(payload);
    if (stamp.run != run_ || plan_.is_publisher(client)) {
        ++counters_.strangers;
        return;
    }
    if (!verifier_.on_message(client - plan_.publishers, stamp.flow, stamp.sequence, marked)) {
        return;
    }
    delivery_latency_.record(now_ - stamp.due);
    last_arrival_ = now_;
    const std::uint32_t index = plan_.publisher_of(stamp.flow);
    Publisher& publisher = publishers_[index];
    if (++publisher.delivered >= publisher.wake_at) queue(index);
}

bool Traffic::on_acknowledgement(std::uint32_t client, std::uint8_t first, ByteView body) {
    if (body.size() < 2) {
        fleet_.fail(client, "the broker sent a malformed acknowledgement");
        return false;
    }
    const std::uint16_t id = load_u16(body);
    if (first == kPubrelByte) {
        answer(client, kPubcompByte, id);
        return true;
    }
    const bool failed = body.size() > 2 && std::to_integer<unsigned>(body[2]) >= 0x80U;
    if (!plan_.is_publisher(client) || slots_.empty() || slot(client, id).id != id || id == 0) {
        fleet_.fail(client, "the broker acknowledged what had not been sent");
        return false;
    }
    Slot& self = slot(client, id);
    const bool second_half = first == kPubcompByte;
    const bool expected = plan_.qos == mqtt::QoS::at_least_once
                              ? first == kPubackByte
                              : (second_half ? self.released : first == kPubrecByte);
    if (!expected) {
        fleet_.fail(client, "the broker sent the wrong kind of acknowledgement");
        return false;
    }
    if (first == kPubrecByte && !failed) {
        self.released = true;
        answer(client, kPubrelByte, id);
        return true;
    }
    finish_slot(client, self, failed);
    return true;
}

void Traffic::finish_slot(std::uint32_t publisher, Slot& slot, bool failed) {
    acknowledge_latency_.record(now_ - slot.due);
    slot.id = 0;
    ++(failed ? counters_.refused : counters_.acknowledged);
    --publishers_[publisher].unacknowledged;
    --unacknowledged_;
    queue(publisher);
}

void Traffic::answer(std::uint32_t client, std::uint8_t first, std::uint16_t packet_id) {
    if (answers_size_ + kAnswerBytes > answers_.size()) send_answers(client);
    const std::array<std::byte, kAnswerBytes> packet{std::byte{first},
                                                     std::byte{2},
                                                     static_cast<std::byte>(packet_id >> 8U),
                                                     static_cast<std::byte>(packet_id)};
    std::copy(packet.begin(), packet.end(), answers_.data() + answers_size_);
    answers_size_ += kAnswerBytes;
}

void Traffic::send_answers(std::uint32_t client) {
    if (answers_size_ == 0) return;
    const std::size_t size = std::exchange(answers_size_, 0);
    if (fleet_.is_open(client)) fleet_.send(client, {answers_.data(), size});
}

}  // namespace stentor::bench
