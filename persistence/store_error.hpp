#pragma once
// Why the store could not do what it was asked: the error_code of every Result in persistence/.
// Pure values. Any thread.

#include <boost/system/error_code.hpp>

#include <cstdint>
#include <type_traits>

namespace stentor::store {

enum class StoreErrc : std::uint8_t {
    commit_failed = 1,   // the group was not written; nothing of it is in the log
    store_full = 2,      // at its bound of bytes: no messages until some have been consumed
    damaged = 3,         // stored bytes that no version of ours wrote
    io_error = 4,        // the system or the network said no; the disk's state is unknown
    newer_version = 5,   // written by a later Stentor
    in_use = 6,          // another process has the store open
    older_version = 7,   // written by an earlier Stentor, and not to be changed
    no_descriptors = 8,  // no file could be opened; nothing has changed, and later one may be
    full_in_doubt = 9,   // no room, told so late (by a sync) that its state is unknown
    disk_error = 10,     // the disk, or what stands for one, has failed; its state is unknown
};

/// Nothing is wrong with the disk or what is on it: another try may succeed.
[[nodiscard]] bool is_passing(const boost::system::error_code& error) noexcept;

/// The disk has no room or has failed: a store that cannot be opened because of it may be opened
/// when the disk is well again.
[[nodiscard]] bool is_of_the_disk(const boost::system::error_code& error) noexcept;

/// The category "stentor.store"; its messages are English sentences without a full stop.
[[nodiscard]] const boost::system::error_category& store_category() noexcept;

[[nodiscard]] inline boost::system::error_code make_error_code(StoreErrc code) noexcept {
    return {static_cast<int>(code), store_category()};
}

}  // namespace stentor::store

template <>
struct boost::system::is_error_code_enum<stentor::store::StoreErrc> : std::true_type {};
