#include "server/core/subscriber_list.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

SubscriberList::SubscriberList(SubscriberList&& other) noexcept
    : many_{std::move(other.many_)},
      positions_{std::move(other.positions_)},
      size_{std::exchange(other.size_, 0)},
      capacity_{std::exchange(other.capacity_, 1)},
      one_{other.one_} {}

SubscriberList& SubscriberList::operator=(SubscriberList&& other) noexcept {
    many_ = std::move(other.many_);
    positions_ = std::move(other.positions_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 1);
    one_ = other.one_;
    return *this;
}

std::uint32_t SubscriberList::position_of(SubscriberId id) const noexcept {
    if (positions_ != nullptr) {
        const auto at = positions_->find(id);
        return at == positions_->end() ? kNotFound : at->second;
    }
    const Subscriber* const begin = data();
    const Subscriber* const end = begin + size_;
    const Subscriber* const at =
        std::find_if(begin, end, [id](const Subscriber& entry) { return entry.id == id; });
    return at == end ? kNotFound : static_cast<std::uint32_t>(at - begin);
}

const Subscriber* SubscriberList::find(SubscriberId id) const noexcept {
    const std::uint32_t position = position_of(id);
    return position == kNotFound ? nullptr : data() + position;
}

bool SubscriberList::add(const Subscriber& subscriber) {
    if (const std::uint32_t position = position_of(subscriber.id); position != kNotFound) {
        Subscriber& entry = data()[position];
        const Seq since = entry.since;
        entry = subscriber;
        entry.since = since;
        return false;
    }
    if (size_ == capacity_) {
        STENTOR_ASSERT(capacity_ <= kNotFound / 2);
        resize(capacity_ * 2);
    }
    if (positions_ != nullptr) positions_->emplace(subscriber.id, size_);
    data()[size_++] = subscriber;
    if (positions_ == nullptr && size_ > kScanned) {
        positions_ = std::make_unique<Positions>();
        positions_->reserve(std::size_t{kScanned} * 2);
        for (std::uint32_t i = 0; i < size_; ++i) positions_->emplace(data()[i].id, i);
    }
    return true;
}

bool SubscriberList::remove(SubscriberId id) {
    const std::uint32_t position = position_of(id);
    if (position == kNotFound) return false;
    const std::uint32_t last = --size_;
    if (positions_ != nullptr) {
        positions_->erase(id);
        if (position != last) (*positions_)[data()[last].id] = position;
    }
    data()[position] = data()[last];
    if (positions_ != nullptr && size_ < kScanned / 2) positions_.reset();
    // A quarter full: halve, so that the next few changes in either direction are free.
    if (many_ != nullptr && size_ <= capacity_ / 4) resize(capacity_ / 2);
    return true;
}

void SubscriberList::resize(std::uint32_t capacity) {
    if (capacity == 1) {
        if (size_ == 1) one_ = many_[0];
        many_.reset();
    } else {
        auto entries = std::make_unique<Subscriber[]>(capacity);
        std::copy_n(data(), size_, entries.get());
        many_ = std::move(entries);
    }
    capacity_ = capacity;
    if (positions_ != nullptr && positions_->bucket_count() > std::size_t{capacity} * 4) {
        positions_->rehash(0);
    }
}

std::size_t SubscriberList::heap_bytes() const noexcept {
    std::size_t bytes = many_ != nullptr ? capacity_ * sizeof(Subscriber) : 0;
    if (positions_ != nullptr) {  // and one byte of metadata per slot
        bytes +=
            sizeof(Positions) + positions_->bucket_count() * (sizeof(Positions::value_type) + 1);
    }
    return bytes;
}

}  // namespace stentor::server
