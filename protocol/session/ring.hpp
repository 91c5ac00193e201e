#pragma once
// A queue in one block of memory that keeps it: entries go in at the back, and leave at the front
// or, rarely, in between. Internal to the session.
// Pure. A value used on its session's shard.

#include "base/assert.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace stentor::mqtt {

/// T must be default constructible and movable; an entry that has left is replaced by T{}, so that
/// what it owned is released at once.
template <class T>
class Ring {
  public:
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    [[nodiscard]] T& operator[](std::size_t index) noexcept {
        STENTOR_ASSERT(index < size_);
        return slots_[slot(index)];
    }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept {
        STENTOR_ASSERT(index < size_);
        return slots_[slot(index)];
    }
    [[nodiscard]] T& front() noexcept { return (*this)[0]; }

    /// Allocates only when the ring is full; references are void then.
    T& push_back(T value) {
        if (size_ == slots_.size()) grow();
        T& to = slots_[slot(size_)];
        to = std::move(value);
        ++size_;
        return to;
    }

    void pop_front() noexcept {
        front() = T{};
        begin_ = slot(1);
        --size_;
    }

    /// Closes the gap from the shorter side: free at the front, where entries nearly always leave.
    void erase(std::size_t index) noexcept {
        STENTOR_ASSERT(index < size_);
        if (index < size_ / 2) {
            for (; index > 0; --index) (*this)[index] = std::move((*this)[index - 1]);
            pop_front();
            return;
        }
        for (; index + 1 < size_; ++index) (*this)[index] = std::move((*this)[index + 1]);
        (*this)[size_ - 1] = T{};
        --size_;
    }

    /// Removes those for which `gone` holds; the others keep their order.
    template <class Predicate>
    void erase_if(Predicate gone) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (gone((*this)[i])) continue;
            if (kept != i) (*this)[kept] = std::move((*this)[i]);
            ++kept;
        }
        for (std::size_t i = kept; i < size_; ++i) (*this)[i] = T{};
        size_ = kept;
    }

    [[nodiscard]] std::size_t memory_bytes() const noexcept { return slots_.size() * sizeof(T); }

  private:
    static constexpr std::size_t kSlotsMin = 4;

    [[nodiscard]] std::size_t slot(std::size_t index) const noexcept {
        return (begin_ + index) & (slots_.size() - 1);  // the number of slots is a power of two
    }

    void grow() {
        std::vector<T> larger(slots_.empty() ? kSlotsMin : slots_.size() * 2);
        for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
        slots_ = std::move(larger);
        begin_ = 0;
    }

    std::vector<T> slots_;
    std::size_t begin_ = 0;
    std::size_t size_ = 0;
};

}  // namespace stentor::mqtt
