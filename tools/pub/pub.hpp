#pragma once
// `stentor pub`: publishes messages and says by its exit code whether the broker has them.
// Main thread, once per process.

namespace stentor::tools {

/// argv[0] is the command's name as the user knows it ("stentor pub"), the options follow.
/// 0: everything is published (QoS 1/2: acknowledged). 1: something is not. 2: usage.
[[nodiscard]] int run_pub(int argc, char** argv);

}  // namespace stentor::tools
