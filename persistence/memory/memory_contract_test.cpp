#include "persistence/contract/engine_under_test.hpp"
#include "persistence/memory/memory_engine.hpp"
#include "persistence/memory/simulated_engine.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stentor::store {
namespace {

MemoryLogOptions log_options(const EngineBounds& bounds) {
    // Few messages per scan, so that pages end without having found anything.
    return {.shards = bounds.shards, .bytes_max = bounds.log_bytes_max, .scanned_per_page_max = 8};
}

class MemoryUnderTest final : public EngineUnderTest {
  public:
    explicit MemoryUnderTest(const EngineBounds& bounds)
        : engine_{{.log = log_options(bounds),
                   .queue_batches_max = bounds.queue_batches_max,
                   .reads_max = bounds.reads_max}} {}

    StorageEngine& engine() override { return engine_; }

  private:
    MemoryEngine engine_;
};

class SimulatedUnderTest final : public EngineUnderTest {
  public:
    SimulatedUnderTest(const EngineBounds& bounds, std::uint64_t seed)
        : engine_{{.seed = seed,
                   .log = log_options(bounds),
                   .faults = {.full_per_mille = 100},
                   .queue_batches_max = bounds.queue_batches_max,
                   .reads_max = bounds.reads_max}} {}

    StorageEngine& engine() override { return engine_; }

    bool drive(RecordingSink& /*sink*/, const std::function<bool()>& condition) override {
        for (int patience = 0; patience < 100'000; ++patience) {
            if (condition()) return true;
            step();
        }
        return condition();
    }

    void give_way(RecordingSink& /*sink*/) override { step(); }
    [[nodiscard]] bool has_threads() const override { return false; }
    [[nodiscard]] bool keeps() const override { return true; }

  private:
    void step() {
        now_ += Duration{500};
        engine_.step(now_);
    }

    SimulatedEngine engine_;
    Instant now_;
};

EngineCase simulated(std::uint64_t seed) {
    return {.name = "simulated" + std::to_string(seed), .make = [seed](const EngineBounds& bounds) {
                return std::make_unique<SimulatedUnderTest>(bounds, seed);
            }};
}

EngineCase memory() {
    return {.name = "memory", .make = [](const EngineBounds& bounds) {
                return std::make_unique<MemoryUnderTest>(bounds);
            }};
}

}  // namespace

std::vector<EngineCase> engine_cases() {
    return {memory(), simulated(1), simulated(2), simulated(3), simulated(4)};
}

}  // namespace stentor::store
