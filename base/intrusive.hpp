#pragma once
// Objects that count their own owners: one allocation, one word per owner, and many references can
// be taken with one atomic operation (a fan-out hands a Message to thousands of queues).
// The counter may be touched from any thread; what is counted must be immutable or say its rule.

#include "base/assert.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace stentor {

/// Base of a counted class: `class Message : public Counted<Message>`. A new object has one owner,
/// which IntrusivePtr::adopt takes over. The last release() calls `T::destroy(T*)` if T has it (for
/// objects that allocate themselves), otherwise `delete`.
template <class T>
class Counted {
  public:
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    void add_ref() const noexcept { add_ref_many(1); }

    /// Takes `count` references at once; each wants one release() or IntrusivePtr::adopt().
    void add_ref_many(std::uint32_t count) const noexcept {
        // Relaxed: whoever copies a reference holds one, so the object cannot go away meanwhile.
        const std::uint32_t before = references_.fetch_add(count, std::memory_order_relaxed);
        STENTOR_ASSERT(before != 0 && before + std::uint64_t{count} < kReferencesMax);
    }

    void release() const noexcept {
        // Release: our reads come before the deletion; acquire: the deletion sees everyone's.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        // Owners may see the object as const; the last one ends it all the same.
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
        T* self = const_cast<T*>(static_cast<const T*>(this));
        if constexpr (requires { T::destroy(self); }) {
            T::destroy(self);
        } else {
            delete self;
        }
    }

    /// Exact only while no other thread takes or drops references; for tests and assertions.
    [[nodiscard]] std::uint32_t use_count() const noexcept {
        return references_.load(std::memory_order_relaxed);
    }

  protected:
    Counted() noexcept = default;
    ~Counted() = default;

  private:
    static constexpr std::uint64_t kReferencesMax = std::uint64_t{1} << 31U;

    mutable std::atomic<std::uint32_t> references_{1};
};

/// Owns one reference to a Counted object, or nothing. A value of one word; moving it is free.
template <class T>
class IntrusivePtr {
  public:
    constexpr IntrusivePtr() noexcept = default;
    constexpr IntrusivePtr(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)

    /// Takes over a reference the caller holds: that of `new`, or one of add_ref_many().
    [[nodiscard]] static IntrusivePtr adopt(T* object) noexcept { return IntrusivePtr{object}; }
    /// Takes a reference of its own.
    [[nodiscard]] static IntrusivePtr share(T* object) noexcept {
        if (object != nullptr) object->add_ref();
        return IntrusivePtr{object};
    }

    IntrusivePtr(const IntrusivePtr& other) noexcept : object_{other.object_} {
        if (object_ != nullptr) object_->add_ref();
    }
    IntrusivePtr(IntrusivePtr&& other) noexcept : object_{std::exchange(other.object_, nullptr)} {}

    /// IntrusivePtr<T> to IntrusivePtr<const T>.
    template <class U>
    requires(!std::is_same_v<U, T> && std::is_convertible_v<U*, T*>)
        IntrusivePtr(IntrusivePtr<U> other)
    noexcept  // NOLINT(google-explicit-constructor)
        : object_{other.detach()} {}

    IntrusivePtr& operator=(IntrusivePtr other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~IntrusivePtr() {
        if (object_ != nullptr) object_->release();
    }

    [[nodiscard]] T* get() const noexcept { return object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }
    [[nodiscard]] T* operator->() const noexcept { return object_; }
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }

    void reset() noexcept { *this = IntrusivePtr{}; }
    /// Gives the reference to the caller, who must release() or adopt() it.
    [[nodiscard]] T* detach() noexcept { return std::exchange(object_, nullptr); }

    friend bool operator==(const IntrusivePtr&, const IntrusivePtr&) noexcept = default;
    friend bool operator==(const IntrusivePtr& pointer, std::nullptr_t) noexcept {
        return pointer.object_ == nullptr;
    }

  private:
    explicit IntrusivePtr(T* object) noexcept : object_{object} {}

    T* object_ = nullptr;
};

template <class T, class... Args>
[[nodiscard]] IntrusivePtr<T> make_intrusive(Args&&... args) {
    return IntrusivePtr<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace stentor
