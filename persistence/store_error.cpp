#include "persistence/store_error.hpp"

#include <string>

namespace stentor::store {
namespace {

// Boost's categories have no virtual destructor and need none: they live for ever.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor)
class StoreCategory final : public boost::system::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "stentor.store"; }

    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<StoreErrc>(code)) {
            case StoreErrc::commit_failed:
                return "the group could not be committed";
            case StoreErrc::store_full:
                return "the store has reached its bound";
            case StoreErrc::damaged:
                return "stored data is damaged";
            case StoreErrc::io_error:
                return "the store could not be read or written";
            case StoreErrc::newer_version:
                return "the store was written by a newer version of Stentor";
            case StoreErrc::in_use:
                return "another process uses the store";
            case StoreErrc::older_version:
                return "the store was written by an earlier version; serving it migrates it";
            case StoreErrc::no_descriptors:
                return "the process may not open any more files";
            case StoreErrc::full_in_doubt:
                return "the disk is full";
            case StoreErrc::disk_error:
                return "the disk fails";
        }
        return "unknown store error " + std::to_string(code);
    }
};
#pragma GCC diagnostic pop

}  // namespace

bool is_passing(const boost::system::error_code& error) noexcept {
    return error == StoreErrc::store_full || error == StoreErrc::no_descriptors;
}

bool is_of_the_disk(const boost::system::error_code& error) noexcept {
    return error == StoreErrc::store_full || error == StoreErrc::full_in_doubt ||
           error == StoreErrc::disk_error;
}

const boost::system::error_category& store_category() noexcept {
    static const StoreCategory kCategory;
    return kCategory;
}

}  // namespace stentor::store
