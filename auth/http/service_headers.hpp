#pragma once
// Header fields for a web service that wants to know who asks it: in a file of their own, so that
// no secret stands in the configuration. "Name: value", one a line; empty lines and lines that
// begin with # are skipped. Pure. Any thread.

#include "auth/file_error.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {

inline constexpr std::size_t kServiceHeadersMax = 32;
inline constexpr std::size_t kServiceHeadersBytesMax = std::size_t{16} << 10U;  // of the file

struct ServiceHeader {
    std::string name;
    std::string value;
};

/// Fails with every mistake; values are not repeated in messages. Fields that say where the request
/// goes and how long it is (Host, Content-Length, ...) are the broker's own.
[[nodiscard]] Result<std::vector<ServiceHeader>, std::vector<FileError>> parse_service_headers(
    std::string_view text);

}  // namespace stentor::auth
