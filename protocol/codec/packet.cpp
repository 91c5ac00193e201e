#include "protocol/codec/packet.hpp"

#include "protocol/codec/types.hpp"

namespace stentor::mqtt {

namespace {

constexpr std::size_t kOptionsBytes = 1;

std::string_view filter_at(ByteView entry) noexcept {
    return as_text(entry.subspan(2, load_u16(entry)));
}

}  // namespace

template <>
SubscriptionView FilterEntries<SubscriptionView>::Iterator::operator*() const noexcept {
    const std::string_view filter = filter_at(rest_);
    // The decoder has refused whatever from_byte() would.
    return {.filter = filter, .options = *SubscriptionOptions::from_byte(rest_[2 + filter.size()])};
}

template <>
FilterEntries<SubscriptionView>::Iterator&
FilterEntries<SubscriptionView>::Iterator::operator++() noexcept {
    rest_ = rest_.subspan(2U + filter_at(rest_).size() + kOptionsBytes);
    return *this;
}

template <>
std::string_view FilterEntries<std::string_view>::Iterator::operator*() const noexcept {
    return filter_at(rest_);
}

template <>
FilterEntries<std::string_view>::Iterator&
FilterEntries<std::string_view>::Iterator::operator++() noexcept {
    rest_ = rest_.subspan(2U + filter_at(rest_).size());
    return *this;
}

}  // namespace stentor::mqtt
