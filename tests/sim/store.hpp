#pragma once
// The store of a simulated broker: an engine that the simulation steps, that outlives the broker's
// deaths, and that can be asked what it holds.
// One thread calls; an engine's own threads show only in step().

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/memory/simulated_engine.hpp"
#include "persistence/state/stored_state.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace stentor::sim {

struct StoreOptions {
    std::uint64_t seed = 0;
    std::uint16_t shards = 1;
    store::AcknowledgeAfter acknowledge_after = store::AcknowledgeAfter::disk;
    store::SimulatedFaults faults;
    bool slow_pages = false;  // so that much happens between a read and its answer
};

class Store : public store::StorageEngine {
  public:
    /// The sink is called from here only.
    virtual void step(Instant now) = 0;
    /// Nothing is on its way.
    [[nodiscard]] virtual bool idle() const = 0;
    /// From here on nothing fails and nothing is late.
    virtual void be_gentle() = 0;
    /// The process dies, and the machine with it if what was acknowledged must survive that.
    /// recover() and start() follow.
    virtual void crash() = 0;
    /// It answers nothing any more until it is opened anew.
    [[nodiscard]] virtual bool has_failed() const = 0;

    /// The newest position that is committed, and what all up to there amount to, told or not.
    [[nodiscard]] virtual Seq last() const = 0;
    [[nodiscard]] virtual const store::StoredState& state() const = 0;
    /// What it still keeps although nobody needs it, when nobody does; nothing: it does not.
    [[nodiscard]] virtual std::optional<std::string> leftover() const = 0;
    /// After drain_and_close(): what it would not say after a recovery that it said before.
    [[nodiscard]] virtual std::optional<std::string> lost_when_closed() = 0;
};

using StoreMaker = std::function<std::unique_ptr<Store>(const StoreOptions&)>;

/// The simulated engine, persistence/memory/simulated_engine.hpp.
[[nodiscard]] std::unique_ptr<Store> make_simulated_store(const StoreOptions& options);

}  // namespace stentor::sim
