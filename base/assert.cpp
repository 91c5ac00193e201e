#include "base/assert.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace stentor {

void assertion_failed(const char* file,
                      int line,
                      const char* expression,
                      const char* why) noexcept {
    std::array<char, 1024> text{};
    const int length = std::snprintf(text.data(),
                                     text.size(),
                                     "%s:%d: assertion failed: %s%s%s\n",
                                     file,
                                     line,
                                     expression,
                                     *why == '\0' ? "" : ": ",
                                     why);
    if (length > 0) {
        // Nobody is left to tell if stderr is gone as well.
        [[maybe_unused]] const auto written =
            ::write(STDERR_FILENO, text.data(), std::strlen(text.data()));
    }
    std::array<void*, 64> frames{};
    const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
    std::abort();
}

}  // namespace stentor
