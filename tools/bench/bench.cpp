#include "tools/bench/bench.hpp"

#include "base/file_limit.hpp"
#include "base/random.hpp"
#include "tools/bench/bench_options.hpp"
#include "tools/bench/meter.hpp"
#include "tools/bench/report.hpp"
#include "tools/bench/runner.hpp"
#include "tools/bench/target.hpp"
#include "tools/client/reporter.hpp"
#include "tools/client/tool_main.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <vector>

namespace stentor::bench {
namespace {

using tools::kExitFailed;
using tools::kExitOk;
using tools::kExitUsage;
using tools::Usage;
using tools::UsageError;

constexpr std::uint64_t kOtherFiles = 64;

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
    interrupted.store(true);
    std::signal(signal, SIG_DFL);  // the second one ends it at once
}

/// What the machine must allow before the first connection.
Usage prepare(const BenchOptions& options, const Target& target) {
    if (!target.loopback && !options.own_broker) {
        return UsageError{fmt::format("{} is not on this machine", target.text),
                          "a load test is an attack on brokers that are not yours; "
                          "--i-own-this-broker says that this one is"};
    }
    const std::uint64_t files = raise_file_limit();
    if (options.plan().clients() + kOtherFiles > files) {
        return UsageError{
            fmt::format("{} clients, but only {} open files", options.plan().clients(), files),
            "ulimit -n raises the limit"};
    }
    if (options.broker_pid != 0 && !can_watch(static_cast<pid_t>(options.broker_pid))) {
        return UsageError{fmt::format("there is no process {}", options.broker_pid)};
    }
    if (options.cpu && !pin_to_cpu(*options.cpu)) {
        return UsageError{fmt::format("cannot run on processor {}", *options.cpu)};
    }
    return {};
}

void choose_run(BenchOptions& options) {
    if (!options.run.empty()) return;
    // The two ends of one run are two commands.
    const bool one_end = options.workload == Workload::pub || options.workload == Workload::sub;
    options.run = one_end ? "run" : fmt::format("{:08x}", random_seed() & 0xFFFF'FFFFU);
}

}  // namespace

int run_bench(int argc, char** argv) {
    const tools::Reporter reporter{argc > 0 ? argv[0] : "stentor bench"};
    const std::vector<std::string_view> words(argv + std::min(argc, 1), argv + argc);
    BenchOptions options;
    std::string help;
    const auto refuse = [&](const UsageError& error) {
        reporter.usage(error);
        return kExitUsage;
    };
    if (const auto parsed = BenchOptions::parse(words, options, help); !parsed) {
        return refuse(parsed.error());
    }
    if (!help.empty()) {
        fmt::print("{}", help);
        return kExitOk;
    }
    const auto address = options.address();
    if (!address) return refuse(address.error());
    const auto target = resolve(*address, options.tls);
    if (!target) return refuse(target.error());
    if (const auto ready = prepare(options, *target); !ready) return refuse(ready.error());
    choose_run(options);
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    std::signal(SIGPIPE, SIG_IGN);
    // The open loop wakes by the microsecond; the default slack is 50 of them.
    (void)::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    Runner runner{options, *target, interrupted};
    const Report report = runner.run();
    fmt::print("{}",
               options.json ? as_json(options, target->text, report)
                            : as_text(options, target->text, report));
    return report.ok() ? kExitOk : kExitFailed;
}

}  // namespace stentor::bench
