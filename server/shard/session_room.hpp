#pragma once
// How much the sessions of one shard may take in memory: their number, and the bytes of identifiers
// and filters with what each costs besides. A pure value; one thread: the shard's.
//
// Past the bytes whoever takes no more than an equal part of them is still served, so that few who
// take much do not shut out all others; together they take twice the bound at worst.

#include <cstddef>
#include <cstdint>

namespace stentor::server {

struct SessionBounds {
    std::size_t sessions_max = SIZE_MAX;  // beyond it no new one that would outlive its connection
    std::size_t bytes_max = SIZE_MAX;
};

class SessionRoom {
  public:
    // What a session at rest was measured to take, without its texts (docs/storage.md).
    static constexpr std::size_t kSession = 128;
    static constexpr std::size_t kFilter = 48;

    explicit SessionRoom(SessionBounds bounds) noexcept : bounds_{bounds} {}

    void session_begins(std::size_t identifier_size) noexcept {
        ++sessions_;
        bytes_ += kSession + identifier_size;
    }
    void session_ends(std::size_t identifier_size) noexcept {
        --sessions_;
        bytes_ -= kSession + identifier_size;
    }
    void filter_begins(std::size_t size) noexcept { bytes_ += kFilter + size; }
    void filter_ends(std::size_t size) noexcept { bytes_ -= kFilter + size; }

    /// For one more session that stays when its connection ends.
    [[nodiscard]] bool has_room_for_session(std::size_t identifier_size) const noexcept {
        return sessions_ < bounds_.sessions_max && has_room(0, kSession + identifier_size);
    }
    /// For one more filter of a session whose filters take `own` bytes, each with kFilter.
    [[nodiscard]] bool has_room_for_filter(std::size_t own, std::size_t size) const noexcept {
        return has_room(own, kFilter + size);
    }

    [[nodiscard]] std::size_t sessions() const noexcept { return sessions_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  private:
    [[nodiscard]] bool has_room(std::size_t own, std::size_t more) const noexcept {
        if (bytes_ + more <= bounds_.bytes_max) return true;
        return own + more <= bounds_.bytes_max / (sessions_ + 1) &&
               bytes_ - bounds_.bytes_max + more <= bounds_.bytes_max;
    }

    SessionBounds bounds_;
    std::size_t sessions_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace stentor::server
