#pragma once
// Why a store cannot be opened, for people, and what to do about it.
// Pure, but for the working directory that a relative path starts at. Any thread.

#include "server/app/server.hpp"

#include <boost/system/error_code.hpp>

#include <string>

namespace stentor::app {

/// `why` is what StorageEngine::recover() failed with on node.data_dir = `directory`.
[[nodiscard]] Problem store_problem(const std::string& directory,
                                    const boost::system::error_code& why);

}  // namespace stentor::app
