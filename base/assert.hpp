#pragma once
// STENTOR_ASSERT: what must hold if our own code is right. On in every build, release included.
// Never for what a peer, the disk or a configuration file can cause: that is a Result.
// Any thread.

namespace stentor {

/// Prints place, expression, reason and a stack trace to stderr with plain write(2), then aborts.
/// Takes no lock and allocates nothing of ours, so it works from any state the process is in.
[[noreturn]] void assertion_failed(const char* file,
                                   int line,
                                   const char* expression,
                                   const char* why = "") noexcept;

}  // namespace stentor

/// STENTOR_ASSERT(condition) or STENTOR_ASSERT(condition, "why it must hold"). The condition is
/// evaluated exactly once.
#define STENTOR_ASSERT(condition, ...) \
    (static_cast<bool>(condition)      \
         ? static_cast<void>(0)        \
         : ::stentor::assertion_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__))
