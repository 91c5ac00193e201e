// What comes before MQTT: PROXY header, HTTP upgrade, WebSocket frames, through a whole Channel.
// The input's first byte chooses the door and where the rest is cut: however it comes, MQTT must
// see the same bytes and the peer get the same answers.
#include "server/transport/channel.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

using namespace stentor;
using namespace stentor::server;

namespace {

struct Outcome {
    Channel::State state = Channel::State::opening;
    std::string clear;
    std::string answers;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::string drain(mqtt::WireBuffer& buffer) { return std::string{as_text(buffer.take())}; }

Outcome run(const Door& door, ByteView input, std::size_t piece) {
    Channel channel{door,
                    {.address = "127.0.0.1",
                     .port = 1,
                     .listener = 0,
                     .loopback_listener = true,
                     .certificate_name = {}}};
    Outcome outcome;
    Bytes clear;
    while (!input.empty() && outcome.state != Channel::State::ended &&
           outcome.state != Channel::State::failed) {
        Bytes part = to_owned(input.first(std::min(piece, input.size())));
        input = input.subspan(part.size());
        outcome.state = channel.receive(part, clear);
        if (channel.is_behind_proxy_header()) outcome.state = channel.go_on(clear);
    }
    outcome.clear = as_text(clear);
    outcome.answers = drain(channel.network());
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView input = std::as_bytes(std::span{data, size});
    if (input.empty()) return 0;
    const auto choice = std::to_integer<unsigned>(input.front());
    input = input.subspan(1);
    Door door;
    door.speech = (choice & 1U) != 0 ? Door::Speech::web_socket : Door::Speech::sniff;
    door.proxy_header = (choice & 2U) != 0;
    door.trusted_proxies = *NetworkList::parse(std::array{std::string{"127.0.0.1"}});
    const Outcome whole = run(door, input, input.size() + 1);
    const Outcome cut = run(door, input, 1 + (choice >> 2U));
    if (!(whole == cut)) std::abort();
    return 0;
}
