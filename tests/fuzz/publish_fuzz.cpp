// Requests to publish over HTTP: any path, header and JSON is understood or refused, and what is
// understood is a message that MQTT allows. The first byte chooses which it is.

#include "base/assert.hpp"
#include "protocol/topic/validate.hpp"
#include "server/admin/publish_request.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <string>
#include <string_view>

namespace {

using namespace stentor;
using namespace stentor::admin;

constexpr PublishRules kRules{.packet_bytes_max = 300, .topic_levels_max = 5};

void check(const Mistake& mistake) {
    STENTOR_ASSERT(!mistake.error.empty() && !mistake.code.empty());
    STENTOR_ASSERT(!error_reply(mistake).body.empty());
}

void check(const mqtt::Message& message) {
    const auto topic = mqtt::check_topic_name(message.topic(), {.levels_max = 5});
    STENTOR_ASSERT(topic == mqtt::TopicCheck::ok);
    STENTOR_ASSERT(message.topic().size() + message.payload().size() +
                       message.property_bytes().size() <=
                   kRules.packet_bytes_max);
    const auto properties =
        mqtt::parse_properties(message.property_bytes(), mqtt::PropertyContext::publish_to_server);
    STENTOR_ASSERT(properties);
}

void try_json(std::string_view text) {
    const auto asked = messages_of(text, kRules, {});
    if (!asked) return check(asked.error());
    STENTOR_ASSERT(!asked->messages.empty() && asked->messages.size() <= kMessagesMax);
    for (const auto& message : asked->messages) check(*message);
}

void try_path(std::string_view text) {
    const auto topic = topic_of(text, kRules);
    if (!topic) return check(topic.error());
    const auto message = message_of({}, *topic, kRules, {});
    STENTOR_ASSERT(message);
    check(**message);
}

void try_header(std::string_view name, std::string_view value) {
    Request request;
    request.set({name.data(), name.size()}, {value.data(), value.size()});
    const auto message = message_of(request, "a", kRules, {});
    if (!message) return check(message.error());
    check(**message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    switch (data[0]) {
        case 'p':
            try_path(text);
            break;
        case 'q':
            try_header("QoS", text);
            break;
        case 't':
            try_header("TTL", text);
            break;
        case 'r':
            try_header("Retain", text);
            break;
        case 'c':
            try_header("Content-Type", text);
            break;
        default:
            try_json(text);
    }
    return 0;
}
