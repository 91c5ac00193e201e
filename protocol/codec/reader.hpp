#pragma once
// Reads the fields of a packet from borrowed bytes, never past their end. Internal to the codec.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::mqtt {

/// Each method takes a field from the front, or returns false (the bytes end too early, or the
/// field is malformed); what is left is then of no use.
class Reader {
  public:
    explicit Reader(ByteView bytes) noexcept : rest_{bytes} {}

    [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }
    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] ByteView rest() const noexcept { return rest_; }

    [[nodiscard]] bool u8(std::uint8_t& value) noexcept {
        if (rest_.empty()) return false;
        value = std::to_integer<std::uint8_t>(rest_[0]);
        rest_ = rest_.subspan(1);
        return true;
    }
    [[nodiscard]] bool u16(std::uint16_t& value) noexcept {
        if (rest_.size() < 2) return false;
        value = load_u16(rest_);
        rest_ = rest_.subspan(2);
        return true;
    }
    [[nodiscard]] bool u32(std::uint32_t& value) noexcept {
        if (rest_.size() < 4) return false;
        value = load_u32(rest_);
        rest_ = rest_.subspan(4);
        return true;
    }
    [[nodiscard]] bool bytes(std::size_t count, ByteView& value) noexcept {
        if (rest_.size() < count) return false;
        value = rest_.first(count);
        rest_ = rest_.subspan(count);
        return true;
    }
    /// A Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
    [[nodiscard]] bool varint(std::uint32_t& value) noexcept {
        value = 0;
        for (unsigned i = 0; i < 4; ++i) {
            std::uint8_t digit = 0;
            if (!u8(digit)) return false;
            value |= static_cast<std::uint32_t>(digit & 0x7FU) << (7U * i);
            if (digit < 0x80U) return digit != 0 || i == 0;
        }
        return false;
    }
    /// Two bytes of length and as many bytes (1.5.6).
    [[nodiscard]] bool binary(ByteView& value) noexcept {
        std::uint16_t size = 0;
        return u16(size) && bytes(size, value);
    }
    /// The same for a string (1.5.4), whose characters are not looked at.
    [[nodiscard]] bool string(std::string_view& value) noexcept {
        ByteView raw;
        if (!binary(raw)) return false;
        value = as_text(raw);
        return true;
    }

  private:
    ByteView rest_;
};

}  // namespace stentor::mqtt
