#include "base/sync_directory.hpp"

#include "base/descriptor.hpp"

#include <boost/system/error_code.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace stentor {

Result<void> sync_directory(const std::filesystem::path& directory) {
    const Descriptor opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (opened && ::fsync(opened.get()) == 0) return {};
    return boost::system::error_code{errno, boost::system::system_category()};
}

}  // namespace stentor
