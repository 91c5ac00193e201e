#pragma once
// What the contract suite (contract_suite_test.cpp) needs to know about an engine to test it. An
// engine's test program is made of that file and one that defines engine_cases().
// One thread, but for engine(), whose threads are as in engine.hpp.

#include "persistence/contract/engine.hpp"
#include "persistence/contract/recording_sink.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace stentor::store {

/// The bounds a test asks for; an engine that has no such bound takes the nearest.
struct EngineBounds {
    std::uint16_t shards = 1;
    std::size_t queue_batches_max = 64;
    std::size_t reads_max = 64;
    std::size_t log_bytes_max = std::size_t{1} << 24U;
};

/// One engine (with the store below it, if it has one) and how to handle it. The defaults are those
/// of an engine with threads that keeps nothing.
class EngineUnderTest {
  public:
    virtual ~EngineUnderTest() = default;

    [[nodiscard]] virtual StorageEngine& engine() = 0;

    /// Lets the engine work until `condition` holds; false: it has nothing left to do, or took
    /// unreasonably long.
    [[nodiscard]] virtual bool drive(RecordingSink& sink, const std::function<bool()>& condition) {
        return sink.wait(condition, std::chrono::seconds{60});
    }

    /// Called by a playing shard between its calls.
    virtual void give_way(RecordingSink& /*sink*/) {}

    /// Nothing gets done until end(), so that queues fill up.
    class Pause {
      public:
        explicit Pause(RecordingSink& sink) : sink_{sink} { sink_.hold(); }
        ~Pause() { end(); }
        Pause(const Pause&) = delete;
        Pause& operator=(const Pause&) = delete;
        void end() { sink_.let_go(); }

      private:
        RecordingSink& sink_;
    };
    [[nodiscard]] static std::unique_ptr<Pause> pause(RecordingSink& sink) {
        return std::make_unique<Pause>(sink);
    }

    /// Whether several threads may call it.
    [[nodiscard]] virtual bool has_threads() const { return true; }
    /// Whether it keeps its log after drain_and_close().
    [[nodiscard]] virtual bool keeps() const { return false; }
    /// Whether it forgets in larger pieces than messages.
    [[nodiscard]] virtual bool keeps_whole_segments() const { return false; }
    /// After drain_and_close(): engine() is one on the same store.
    virtual void reopen() {}
};

struct EngineCase {
    std::string name;
    std::function<std::unique_ptr<EngineUnderTest>(const EngineBounds&)> make;

    // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's name
    friend void PrintTo(const EngineCase& engine, std::ostream* out) { *out << engine.name; }
};

/// The engines that this test program is about; defined by it.
[[nodiscard]] std::vector<EngineCase> engine_cases();

}  // namespace stentor::store
