#pragma once
// The one function that a fuzz target defines; libFuzzer or replay_main.cpp calls it.

#include <cstddef>
#include <cstdint>

/// Runs the code under test on one input and aborts if a rule is broken. Keeps no state from one
/// call to the next, or a crash could not be replayed from its input alone.
// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
