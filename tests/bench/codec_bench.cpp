// What a packet costs the codec: the numbers behind "no allocation per packet".

#include "base/assert.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/utf8.hpp"
#include "protocol/message.hpp"

#include <benchmark/benchmark.h>

#include <string>

namespace stentor::mqtt {
namespace {

constexpr std::string_view kTopic = "fleet/de/berlin/vehicle-00417/telemetry";

PropertyWriter some_properties() {
    PropertyWriter writer;
    writer.number(Property::message_expiry_interval, 3600);
    writer.text(Property::content_type, "application/json");
    writer.user("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-00");
    return writer;
}

Bytes publish_packet(bool with_properties, std::size_t payload_bytes) {
    const PropertyWriter properties = some_properties();
    const Bytes payload(payload_bytes, std::byte{'x'});
    WireBuffer out;
    STENTOR_ASSERT(
        encode_publish(out,
                       ProtocolVersion::v5,
                       {.topic = kTopic,
                        .payload = payload,
                        .qos = QoS::at_least_once,
                        .packet_id = PacketId{1},
                        .properties = with_properties ? properties.bytes() : ByteView{}}) ==
        Encoded::written);
    return out.take();
}

Decoder connected_decoder() {
    WireBuffer connect;
    STENTOR_ASSERT(encode_connect(connect, {.client_id = "c"}) == Encoded::written);
    Decoder decoder{{}};
    STENTOR_ASSERT(decoder.next(connect.take()).has_value());
    return decoder;
}

void decode(benchmark::State& state, const Bytes& packet) {
    Decoder decoder = connected_decoder();
    for (auto _ : state) {
        auto step = decoder.next(packet);
        benchmark::DoNotOptimize(step);
    }
}

void decode_publish_plain(benchmark::State& state) { decode(state, publish_packet(false, 200)); }
BENCHMARK(decode_publish_plain);

void decode_publish_with_properties(benchmark::State& state) {
    decode(state, publish_packet(true, 200));
}
BENCHMARK(decode_publish_with_properties);

void decode_puback(benchmark::State& state) { decode(state, from_hex("40020001").value()); }
BENCHMARK(decode_puback);

void create_message(benchmark::State& state) {
    const PropertyWriter properties = some_properties();
    const auto view = parse_properties(properties.bytes(), PropertyContext::publish_to_server);
    const Bytes payload(200, std::byte{'x'});
    for (auto _ : state) {
        auto message = Message::create({.topic = kTopic,
                                        .properties = *view,
                                        .payload = payload,
                                        .publisher = "vehicle-00417"});
        benchmark::DoNotOptimize(message);
    }
}
BENCHMARK(create_message);

/// A turn of the loop: many deliveries into one buffer, then one write.
void encode_delivery(benchmark::State& state) {
    const PropertyWriter properties = some_properties();
    const auto view = parse_properties(properties.bytes(), PropertyContext::publish_to_server);
    const Bytes payload(static_cast<std::size_t>(state.range(0)), std::byte{'x'});
    const auto message =
        Message::create({.topic = kTopic, .properties = *view, .payload = payload});
    constexpr int kPerTurn = 32;
    for (auto _ : state) {
        WireBuffer out;
        for (std::uint16_t id = 1; id <= kPerTurn; ++id) {
            encode_publish(out,
                           ProtocolVersion::v5,
                           *message,
                           {.qos = QoS::at_least_once,
                            .packet_id = PacketId{id},
                            .message_expiry_left_seconds = 3599});
        }
        benchmark::DoNotOptimize(out);
    }
    state.SetItemsProcessed(state.iterations() * kPerTurn);
}
BENCHMARK(encode_delivery)->Arg(200)->Arg(16'384);

void validate_topic(benchmark::State& state) {
    for (auto _ : state) {
        auto scan = scan_topic_name(kTopic, 64);
        benchmark::DoNotOptimize(scan);
    }
}
BENCHMARK(validate_topic);

void validate_text(benchmark::State& state) {
    std::string text;
    while (text.size() < 1'000) text += state.range(0) == 0 ? "plain ascii text" : "\xE4\xB8\xAD";
    for (auto _ : state) {
        bool valid = is_mqtt_text(text);
        benchmark::DoNotOptimize(valid);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(validate_text)->Arg(0)->Arg(1);

}  // namespace
}  // namespace stentor::mqtt
