#pragma once
// Views of bytes, big-endian integers (MQTT's and our files' order) and hex for tests and logs.
// Pure. Any thread.

#include "base/assert.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor {

/// Borrows; whoever hands it out says how long it lives.
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;
/// Owns.
using Bytes = std::vector<std::byte>;

/// The bytes of `text`; lives as long as they do.
[[nodiscard]] inline ByteView as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span{text.data(), text.size()});
}

/// The bytes as characters, without any check of their encoding; lives as long as they do.
[[nodiscard]] inline std::string_view as_text(ByteView bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

[[nodiscard]] inline Bytes to_owned(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

[[nodiscard]] inline bool equal(ByteView a, ByteView b) noexcept {
    return as_text(a) == as_text(b);
}

/// Reads an integer from the front of `from`, most significant byte first.
/// `from` must hold sizeof(T) bytes: check the length before, it is the peer's.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_big_endian(ByteView from) noexcept {
    STENTOR_ASSERT(from.size() >= sizeof(T));
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        value = static_cast<T>((std::uint64_t{value} << 8U) | std::to_integer<T>(from[i]));
    }
    return value;
}

/// Writes an integer to the front of `to`, which must hold sizeof(T) bytes.
template <std::unsigned_integral T>
inline void store_big_endian(MutableByteView to, T value) noexcept {
    STENTOR_ASSERT(to.size() >= sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        to[i] = static_cast<std::byte>(value >> (8U * (sizeof(T) - 1U - i)));
    }
}

[[nodiscard]] inline std::uint16_t load_u16(ByteView from) noexcept {
    return load_big_endian<std::uint16_t>(from);
}
[[nodiscard]] inline std::uint32_t load_u32(ByteView from) noexcept {
    return load_big_endian<std::uint32_t>(from);
}
[[nodiscard]] inline std::uint64_t load_u64(ByteView from) noexcept {
    return load_big_endian<std::uint64_t>(from);
}
inline void store_u16(MutableByteView to, std::uint16_t value) noexcept {
    store_big_endian(to, value);
}
inline void store_u32(MutableByteView to, std::uint32_t value) noexcept {
    store_big_endian(to, value);
}
inline void store_u64(MutableByteView to, std::uint64_t value) noexcept {
    store_big_endian(to, value);
}

/// Lower-case hex without separators; with `separator`, one between every two bytes.
[[nodiscard]] std::string to_hex(ByteView bytes, std::string_view separator = "");

/// Reads hex of either case; spaces, tabs, line ends, '_' and ':' may stand anywhere between the
/// bytes. Nothing for an odd digit or any other character.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

}  // namespace stentor
