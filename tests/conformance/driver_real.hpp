#pragma once
// The broker as people run it: `stentor serve` as a process of the row's own, reached over TCP.

#include "tests/conformance/driver.hpp"

#include <memory>
#include <string>

namespace stentor::conformance {

/// `program` is the path of the binary.
[[nodiscard]] std::unique_ptr<Driver> make_real_driver(std::string program);

}  // namespace stentor::conformance
