#include "protocol/codec/property_writer.hpp"

#include "base/assert.hpp"
#include "protocol/codec/writer.hpp"

#include <array>

namespace stentor::mqtt {

namespace {

void append(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace

void PropertyWriter::number(Property id, std::uint32_t value) {
    std::array<std::byte, 5> wire{};
    Writer writer{wire.data()};
    writer.u8(static_cast<std::uint8_t>(id));
    switch (id) {
        case Property::payload_format_indicator:
        case Property::request_problem_information:
        case Property::request_response_information:
        case Property::maximum_qos:
        case Property::retain_available:
        case Property::wildcard_subscription_available:
        case Property::subscription_identifier_available:
        case Property::shared_subscription_available:
            writer.u8(static_cast<std::uint8_t>(value));
            break;
        case Property::server_keep_alive:
        case Property::receive_maximum:
        case Property::topic_alias_maximum:
        case Property::topic_alias:
            writer.u16(static_cast<std::uint16_t>(value));
            break;
        case Property::message_expiry_interval:
        case Property::session_expiry_interval:
        case Property::will_delay_interval:
        case Property::maximum_packet_size:
            writer.u32(value);
            break;
        case Property::subscription_identifier:
            writer.varint(value);
            break;
        default:
            assertion_failed(__FILE__, __LINE__, "id", "not an integer property");
    }
    append(block_, {wire.data(), writer.at()});
}

void PropertyWriter::string(ByteView value) {
    STENTOR_ASSERT(value.size() <= kStringBytesMax);
    std::array<std::byte, 2> size{};
    store_u16(size, static_cast<std::uint16_t>(value.size()));
    append(block_, size);
    append(block_, value);
}

void PropertyWriter::text(Property id, std::string_view value) { binary(id, as_bytes(value)); }

void PropertyWriter::binary(Property id, ByteView value) {
    block_.push_back(static_cast<std::byte>(id));
    string(value);
}

void PropertyWriter::user(std::string_view name, std::string_view value) {
    block_.push_back(static_cast<std::byte>(Property::user_property));
    string(as_bytes(name));
    string(as_bytes(value));
}

void PropertyWriter::entry(const PropertyEntry& entry) { append(block_, entry.wire); }

std::optional<FittedProperties> FittedProperties::fit(ByteView block,
                                                      std::size_t bytes_max) noexcept {
    const auto fits = [bytes_max](std::size_t size) {
        return size <= kVarintMax && varint_size(size) + size <= bytes_max;
    };
    FittedProperties fitted;
    fitted.block_ = block;
    fitted.block_size_ = block.size();
    fitted.user_properties_ = block.size();  // more than there can be
    if (fits(block.size())) return fitted;

    std::size_t users = 0;
    std::size_t reason_bytes = 0;
    std::size_t size = 0;  // without user properties
    for (const PropertyEntry& entry : PropertyEntries{block}) {
        if (entry.id == Property::user_property) {
            ++users;
            continue;
        }
        if (entry.id == Property::reason_string) reason_bytes += entry.wire.size();
        size += entry.wire.size();
    }
    fitted.user_properties_ = 0;
    if (!fits(size)) {
        fitted.reason_string_ = false;
        size -= reason_bytes;
        if (!fits(size)) return std::nullopt;
        fitted.block_size_ = size;
        return fitted;
    }
    for (const PropertyEntry& entry : PropertyEntries{block}) {
        if (entry.id != Property::user_property) continue;
        if (!fits(size + entry.wire.size())) break;
        size += entry.wire.size();
        ++fitted.user_properties_;
    }
    STENTOR_ASSERT(fitted.user_properties_ < users, "the whole block did not fit");
    fitted.block_size_ = size;
    return fitted;
}

std::byte* FittedProperties::write(std::byte* to) const noexcept {
    Writer writer{to};
    writer.varint(block_size_);
    if (block_size_ == block_.size()) {
        writer.bytes(block_);
        return writer.at();
    }
    std::size_t users = 0;
    for (const PropertyEntry& entry : PropertyEntries{block_}) {
        if (entry.id == Property::user_property && users++ >= user_properties_) continue;
        if (entry.id == Property::reason_string && !reason_string_) continue;
        writer.bytes(entry.wire);
    }
    return writer.at();
}

}  // namespace stentor::mqtt
