#pragma once
// Writes fields into memory that is known to be large enough. Internal to the codec.
// Pure. Any thread.

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stentor::mqtt {

/// Bounded by pointers, not by a count: the caller has reserved what it writes.
class Writer {
  public:
    explicit Writer(std::byte* to) noexcept : at_{to} {}

    [[nodiscard]] std::byte* at() const noexcept { return at_; }
    void move_to(std::byte* at) noexcept { at_ = at; }

    void u8(std::uint8_t value) noexcept { *at_++ = std::byte{value}; }
    void u16(std::uint16_t value) noexcept {
        u8(static_cast<std::uint8_t>(value >> 8U));
        u8(static_cast<std::uint8_t>(value));
    }
    void u32(std::uint32_t value) noexcept {
        u16(static_cast<std::uint16_t>(value >> 16U));
        u16(static_cast<std::uint16_t>(value));
    }
    void varint(std::size_t value) noexcept {
        STENTOR_ASSERT(value <= kVarintMax);
        while (value >= 0x80U) {
            u8(static_cast<std::uint8_t>(value | 0x80U));
            value >>= 7U;
        }
        u8(static_cast<std::uint8_t>(value));
    }
    void bytes(ByteView value) noexcept {
        if (value.empty()) return;
        std::memcpy(at_, value.data(), value.size());
        at_ += value.size();
    }
    void binary(ByteView value) noexcept {
        STENTOR_ASSERT(value.size() <= kStringBytesMax);
        u16(static_cast<std::uint16_t>(value.size()));
        bytes(value);
    }
    void string(std::string_view value) noexcept { binary(as_bytes(value)); }

  private:
    std::byte* at_;
};

}  // namespace stentor::mqtt
