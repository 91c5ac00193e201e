#pragma once
// What a stored message is about, without parsing all of it: for readers that pass most of them by.
// Pure. Any thread.

#include "base/bytes.hpp"

#include <string_view>

namespace stentor::mqtt {

/// The topic in what Message::serialize() appended; empty if the bytes do not begin like that.
/// Borrows them.
[[nodiscard]] std::string_view stored_topic(ByteView stored) noexcept;

}  // namespace stentor::mqtt
