#pragma once
// The subscribers of one filter in one contiguous array. A filter with a single subscriber, which
// is what most filters are, needs nothing but this object. One thread: the shard's.

#include "server/core/subscriber.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace stentor::server {

class SubscriberList {
  public:
    SubscriberList() noexcept = default;
    SubscriberList(SubscriberList&& other) noexcept;
    SubscriberList& operator=(SubscriberList&& other) noexcept;
    SubscriberList(const SubscriberList&) = delete;
    SubscriberList& operator=(const SubscriberList&) = delete;
    ~SubscriberList() = default;

    /// Lives until the list is changed or moved.
    [[nodiscard]] std::span<const Subscriber> all() const noexcept { return {data(), size_}; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] const Subscriber* find(SubscriberId id) const noexcept;

    /// False if the subscriber was there already: then its entry keeps its place and `since` and
    /// takes the rest from `subscriber`.
    bool add(const Subscriber& subscriber);

    /// False if there was none. The last entry takes the place of the removed one.
    bool remove(SubscriberId id);

    /// Besides the object itself.
    [[nodiscard]] std::size_t heap_bytes() const noexcept;

  private:
    using Positions = boost::unordered_flat_map<SubscriberId, std::uint32_t>;
    static constexpr std::uint32_t kNotFound = 0xFFFF'FFFF;
    // Up to here a scan is as fast as a look-up. Gone again below half of it, so that a list at the
    // border does not build and drop the positions in turn.
    static constexpr std::uint32_t kScanned = 32;

    [[nodiscard]] const Subscriber* data() const noexcept {
        return many_ != nullptr ? many_.get() : &one_;
    }
    [[nodiscard]] Subscriber* data() noexcept { return many_ != nullptr ? many_.get() : &one_; }
    [[nodiscard]] std::uint32_t position_of(SubscriberId id) const noexcept;
    void resize(std::uint32_t capacity);

    std::unique_ptr<Subscriber[]> many_;    // null: `one_` holds the only entry, if there is one
    std::unique_ptr<Positions> positions_;  // null: scan
    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = 1;
    Subscriber one_;
};

}  // namespace stentor::server
