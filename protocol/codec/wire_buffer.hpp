#pragma once
// What a connection has still to send: a queue of bytes, small ones its own, large ones borrowed
// from shared messages. A data structure; who writes it to a socket is server/transport.
// Pure. Movable value; used on its connection's shard only.

#include "base/bytes.hpp"
#include "base/intrusive.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace stentor::mqtt {

/// Shared parts below this are copied: a slow reader must not pin messages for their sake.
inline constexpr std::size_t kSharedPartBytesMin = std::size_t{8} * 1024;

class WireBuffer {
  public:
    WireBuffer() noexcept = default;
    WireBuffer(WireBuffer&& other) noexcept;
    WireBuffer& operator=(WireBuffer&& other) noexcept;
    WireBuffer(const WireBuffer&) = delete;
    WireBuffer& operator=(const WireBuffer&) = delete;
    ~WireBuffer() = default;

    /// Bytes waiting, shared ones included.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// Memory that only this buffer holds. 0 after everything is consumed or cleared.
    [[nodiscard]] std::size_t memory_bytes() const noexcept;

    void append(ByteView bytes);
    /// Appends the first `bytes` of `from`, which has as many, and forgets them there. A copy: what
    /// `from` shares is let go.
    void append_from(WireBuffer& from, std::size_t bytes);

    /// Room for at least `bytes_max` more bytes, uninitialised, valid until the next call of a
    /// non-const member. Commit what was written with commit().
    [[nodiscard]] std::byte* reserve(std::size_t bytes_max);
    void commit(std::size_t bytes) noexcept;

    /// Appends `part`, which lies within `owner`: by reference if it is large, else as a copy.
    void append_shared(IntrusivePtr<const Message> owner, ByteView part);

    /// Fills `out` with the front of the queue and returns how many entries it took; they stay
    /// valid until the next call of a non-const member. May cover less than size().
    [[nodiscard]] std::size_t gather(std::span<ByteView> out) const noexcept;

    /// The front of the queue as far as it lies together; valid as gather()'s. Empty: nothing
    /// waits.
    [[nodiscard]] ByteView front() const noexcept;

    /// Forgets `bytes` from the front, at most size(). Memory goes with the last byte.
    void consume(std::size_t bytes) noexcept;

    /// Copies from the front what fits into `out` and forgets it; returns how much that was.
    std::size_t read(MutableByteView out) noexcept;
    /// A copy of everything; the buffer is empty afterwards.
    [[nodiscard]] Bytes take();

    /// Forgets everything and its memory.
    void clear() noexcept;

  private:
    struct SharedPart {
        IntrusivePtr<const Message> owner;
        ByteView part;
        std::size_t at;  // stands before the own byte with this offset
    };

    void grow(std::size_t bytes_more);
    void drop_consumed_parts() noexcept;

    std::unique_ptr<std::byte[]> own_;  // bytes [begin_, end_) wait
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t size_ = 0;
    std::vector<SharedPart> shared_;  // in order; nearly always empty
    std::size_t shared_begin_ = 0;    // those before are consumed
};

}  // namespace stentor::mqtt
