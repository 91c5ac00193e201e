#pragma once
// `stentor bench`: a load generator that checks what it gets.
// Main thread, once per process.

namespace stentor::bench {

/// argv[0] is the command's name as the user knows it ("stentor bench"), the workload and its
/// options follow. 0: all well. 1: messages lost, doubled or out of order, or the run failed.
/// 2: usage.
[[nodiscard]] int run_bench(int argc, char** argv);

}  // namespace stentor::bench
