#pragma once
// What `stentor` returns to the shell. Any thread.

namespace stentor::app {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;  // usage or configuration

}  // namespace stentor::app
