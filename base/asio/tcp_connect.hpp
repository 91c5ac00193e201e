#pragma once
// Connecting to the first of several addresses that answers.
// Used on the thread of its io_context only.

#include "base/result.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <string>
#include <vector>

namespace stentor {

/// Tries the addresses in turn, the next one as soon as one has failed or after 250 ms, and keeps
/// the first that answers (RFC 8305). Fails with the error of the last one that failed.
[[nodiscard]] boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> connect_to_first(
    std::vector<boost::asio::ip::tcp::endpoint> endpoints, std::string bind_address);

}  // namespace stentor
