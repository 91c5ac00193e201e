#pragma once
// What a request to publish asks for: POST /v1/publish/{topic} with the payload as its body, and
// POST /v1/publish with one message or many as JSON. docs/http.md has the words.
// Pure: whoever calls it says what is allowed and when it is. Any thread.
//
// Bounds: a message is no larger than an MQTT packet may be, a request holds kMessagesMax, in
// kJsonBytesMax.

#include "base/clock.hpp"
#include "base/result.hpp"
#include "protocol/message.hpp"
#include "server/admin/http_handler.hpp"
#include "server/admin/reply.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::admin {

inline constexpr std::size_t kMessagesMax = 10'000;

struct PublishRules {
    std::uint32_t packet_bytes_max = 0;
    std::uint32_t topic_levels_max = 0;
};
/// Of POST /v1/publish. Taken apart, JSON takes up to 25 times as much memory, and the thread's
/// time.
inline constexpr std::uint64_t kJsonBytesMax = std::uint64_t{4} << 20U;

using MessagePtr = IntrusivePtr<const mqtt::Message>;

/// The topic that stands percent-encoded behind POST /v1/publish/.
[[nodiscard]] Result<std::string, Mistake> topic_of(std::string_view path_rest,
                                                    const PublishRules& rules);

/// One message: its payload is the body; TTL, QoS, Retain and Content-Type are headers.
[[nodiscard]] Result<MessagePtr, Mistake> message_of(const Request& request,
                                                     std::string_view topic,
                                                     const PublishRules& rules,
                                                     Instant now);

struct Asked {
    std::vector<MessagePtr> messages;  // at least one
    bool is_list = false;              // an array: it is answered by one
};
/// JSON: an object, or an array of them. A mistake in one of them is a mistake of the whole.
[[nodiscard]] Result<Asked, Mistake> messages_of(std::string_view text,
                                                 const PublishRules& rules,
                                                 Instant now);

}  // namespace stentor::admin
