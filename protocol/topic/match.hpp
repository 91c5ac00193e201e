#pragma once
// Does this filter match this topic? One pair at a time, in one pass over both.
// Pure. The reference for every index; itself used where there is only one filter (ACL rules).

#include <string_view>

namespace stentor::mqtt {

/// Whether the valid topic filter matches the valid topic name: byte by byte, case sensitive
/// [MQTT-4.7.3-4]; "+" matches exactly one level, also an empty one; a final "/#" matches the
/// parent and all below it (4.7.1.2); a filter that begins with a wildcard matches no topic that
/// begins with '$' [MQTT-4.7.2-1]. `filter` is without its "$share/{name}/".
[[nodiscard]] bool matches(std::string_view filter, std::string_view topic) noexcept;

}  // namespace stentor::mqtt
