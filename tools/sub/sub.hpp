#pragma once
// `stentor sub`: subscribes and prints what arrives.
// Main thread, once per process.

namespace stentor::tools {

/// argv[0] is the command's name as the user knows it ("stentor sub"), the options follow.
/// 0: ended as asked. 1: refused or lost. 2: usage. 27: -W ran out.
[[nodiscard]] int run_sub(int argc, char** argv);

}  // namespace stentor::tools
