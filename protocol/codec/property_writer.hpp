#pragma once
// Writing properties of MQTT 5.0 (section 2.2.2), and choosing which to leave out when a packet
// would be larger than its receiver takes.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "protocol/codec/properties.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor::mqtt {

/// Builds a block. Keep one and clear() it: its memory is then taken once.
/// What may stand where is not checked; strings longer than kStringBytesMax are a mistake of ours.
class PropertyWriter {
  public:
    void clear() noexcept { block_.clear(); }
    /// Without the length, as the encoders want it; until the next change.
    [[nodiscard]] ByteView bytes() const noexcept { return block_; }

    /// An integer property; its width follows from `id`.
    void number(Property id, std::uint32_t value);
    void text(Property id, std::string_view value);
    void binary(Property id, ByteView value);
    void user(std::string_view name, std::string_view value);
    /// Copies a property from another block.
    void entry(const PropertyEntry& entry);

  private:
    void string(ByteView value);

    Bytes block_;
};

/// Chooses what of a block fits into `bytes_max` with its length in front: user properties are
/// left out first, from the last one on, then the reason string [MQTT-3.2.2-19, -20 and their
/// siblings]; what is neither stays. Nothing if even the rest does not fit.
class FittedProperties {
  public:
    /// Borrows `block`, which must be well-formed.
    [[nodiscard]] static std::optional<FittedProperties> fit(ByteView block,
                                                             std::size_t bytes_max) noexcept;

    /// Length and block: what write() appends.
    [[nodiscard]] std::size_t wire_size() const noexcept {
        return varint_size(block_size_) + block_size_;
    }
    [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }
    /// Writes wire_size() bytes and returns the end.
    std::byte* write(std::byte* to) const noexcept;

  private:
    FittedProperties() noexcept = default;

    ByteView block_;
    std::size_t block_size_ = 0;
    std::size_t user_properties_ = 0;  // how many of the first ones are kept
    bool reason_string_ = true;
};

}  // namespace stentor::mqtt
