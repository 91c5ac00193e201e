#include "tools/bench/meter.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace stentor::bench {
namespace {

/// Keeps the processor busy until this process has used so much more of it.
void burn(Duration time) {
    const Duration until = read_meter(0).own_cpu + time;
    while (read_meter(0).own_cpu < until) {
    }
}

TEST(Meter, SeesTheProcessorTimeOfAProcessAndItsThreads) {
    const Reading before = read_meter(::getpid());
    ASSERT_TRUE(before.broker_cpu);
    EXPECT_GT(before.broker_resident_bytes, 100'000U);
    std::thread other{[] { burn(std::chrono::milliseconds{30}); }};
    other.join();  // what it used counts though it has ended
    burn(std::chrono::milliseconds{30});
    const Reading after = read_meter(::getpid());
    ASSERT_TRUE(after.broker_cpu);
    EXPECT_GE(*after.broker_cpu - *before.broker_cpu, std::chrono::milliseconds{30});
    EXPECT_GE(after.own_cpu - before.own_cpu, std::chrono::milliseconds{60});
}

TEST(Meter, AProcessThatIsNotThereReadsAsNothing) {
    constexpr pid_t kNobody = 4'194'304;
    EXPECT_FALSE(can_watch(kNobody));
    EXPECT_TRUE(can_watch(::getpid()));
    EXPECT_FALSE(read_meter(kNobody).broker_cpu);
    EXPECT_FALSE(read_meter(0).broker_cpu);
    EXPECT_FALSE(pin_to_cpu(-1));
}

}  // namespace
}  // namespace stentor::bench
