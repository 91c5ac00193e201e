#include "protocol/codec/wire_buffer.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace stentor::mqtt {

namespace {

constexpr std::size_t kFirstCapacity = 512;

}  // namespace

WireBuffer::WireBuffer(WireBuffer&& other) noexcept
    : own_{std::move(other.own_)},
      capacity_{std::exchange(other.capacity_, 0)},
      begin_{std::exchange(other.begin_, 0)},
      end_{std::exchange(other.end_, 0)},
      size_{std::exchange(other.size_, 0)},
      shared_{std::move(other.shared_)},
      shared_begin_{std::exchange(other.shared_begin_, 0)} {
    other.shared_.clear();
}

WireBuffer& WireBuffer::operator=(WireBuffer&& other) noexcept {
    if (this == &other) return *this;
    own_ = std::move(other.own_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    size_ = std::exchange(other.size_, 0);
    shared_ = std::exchange(other.shared_, {});
    shared_begin_ = std::exchange(other.shared_begin_, 0);
    return *this;
}

std::size_t WireBuffer::memory_bytes() const noexcept {
    return capacity_ + shared_.capacity() * sizeof(SharedPart);
}

void WireBuffer::append(ByteView bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
}

void WireBuffer::append_from(WireBuffer& from, std::size_t bytes) {
    STENTOR_ASSERT(&from != this && bytes <= from.size());
    if (bytes == 0) return;
    commit(from.read({reserve(bytes), bytes}));
}

std::byte* WireBuffer::reserve(std::size_t bytes_max) {
    if (capacity_ - end_ < bytes_max) grow(bytes_max);
    return own_.get() + end_;
}

void WireBuffer::commit(std::size_t bytes) noexcept {
    STENTOR_ASSERT(bytes <= capacity_ - end_, "more than reserve() gave");
    end_ += bytes;
    size_ += bytes;
}

void WireBuffer::grow(std::size_t bytes_more) {
    const std::size_t used = end_ - begin_;
    // In place if that leaves at least half free: the cost per byte appended stays constant, and
    // a reader who keeps up never makes the buffer larger.
    if (capacity_ >= used + bytes_more && used <= capacity_ / 2) {
        std::memmove(own_.get(), own_.get() + begin_, used);
    } else {
        const std::size_t capacity = std::max({kFirstCapacity, capacity_ * 2, used + bytes_more});
        auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
        if (used != 0) std::memcpy(larger.get(), own_.get() + begin_, used);
        own_ = std::move(larger);
        capacity_ = capacity;
    }
    for (std::size_t i = shared_begin_; i < shared_.size(); ++i) shared_[i].at -= begin_;
    begin_ = 0;
    end_ = used;
}

void WireBuffer::append_shared(IntrusivePtr<const Message> owner, ByteView part) {
    if (part.size() < kSharedPartBytesMin) {
        append(part);
        return;
    }
    shared_.push_back({.owner = std::move(owner), .part = part, .at = end_});
    size_ += part.size();
}

std::size_t WireBuffer::gather(std::span<ByteView> out) const noexcept {
    std::size_t count = 0;
    std::size_t at = begin_;
    const auto take_own = [&](std::size_t until) {
        if (at == until || count == out.size()) return;
        out[count++] = {own_.get() + at, until - at};
        at = until;
    };
    for (std::size_t i = shared_begin_; i < shared_.size() && count < out.size(); ++i) {
        take_own(shared_[i].at);
        if (count < out.size()) out[count++] = shared_[i].part;
    }
    take_own(end_);
    return count;
}

ByteView WireBuffer::front() const noexcept {
    std::array<ByteView, 1> part;
    return gather(part) == 0 ? ByteView{} : part[0];
}

void WireBuffer::consume(std::size_t bytes) noexcept {
    STENTOR_ASSERT(bytes <= size_);
    size_ -= bytes;
    if (size_ == 0) {
        clear();
        return;
    }
    while (bytes > 0) {
        const bool shared_left = shared_begin_ < shared_.size();
        const std::size_t own_until = shared_left ? shared_[shared_begin_].at : end_;
        const std::size_t own = std::min(bytes, own_until - begin_);
        begin_ += own;
        bytes -= own;
        if (bytes == 0) break;
        SharedPart& front = shared_[shared_begin_];
        const std::size_t taken = std::min(bytes, front.part.size());
        front.part = front.part.subspan(taken);
        bytes -= taken;
        if (!front.part.empty()) break;
        front.owner.reset();
        ++shared_begin_;
    }
    drop_consumed_parts();
}

std::size_t WireBuffer::read(MutableByteView out) noexcept {
    std::size_t filled = 0;
    while (filled < out.size() && !empty()) {
        const ByteView waiting = front();
        const ByteView part = waiting.first(std::min(waiting.size(), out.size() - filled));
        std::memcpy(out.data() + filled, part.data(), part.size());
        filled += part.size();
        consume(part.size());
    }
    return filled;
}

Bytes WireBuffer::take() {
    Bytes bytes(size_);
    (void)read(bytes);
    return bytes;
}

void WireBuffer::drop_consumed_parts() noexcept {
    // Half of the list at a time, so that a long queue is not moved up for every part.
    if (shared_begin_ == 0 || shared_begin_ * 2 < shared_.size()) return;
    shared_.erase(shared_.begin(), shared_.begin() + static_cast<std::ptrdiff_t>(shared_begin_));
    shared_begin_ = 0;
}

void WireBuffer::clear() noexcept {
    own_.reset();
    capacity_ = begin_ = end_ = size_ = 0;
    shared_ = {};
    shared_begin_ = 0;
}

}  // namespace stentor::mqtt
