#include "base/file_limit.hpp"

#include <sys/resource.h>

namespace stentor {

std::uint64_t raise_file_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

std::uint64_t connections_possible(std::uint64_t file_limit) noexcept {
    constexpr std::uint64_t kOwnFiles = 64;
    return file_limit > kOwnFiles ? file_limit - kOwnFiles : 0;
}

}  // namespace stentor
