#pragma once
// A mistake in a password or ACL file: where, what, and what to write instead.
// Pure value. Any thread.

#include <cstdint>
#include <string>

namespace stentor::auth {

struct FileError {
    std::uint32_t line = 0;    // from 1
    std::uint32_t column = 0;  // from 1, in bytes
    std::uint32_t length = 1;
    std::string what;
    std::string hint;  // may be empty
};

}  // namespace stentor::auth
