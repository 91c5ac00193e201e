#include "tests/sim/store.hpp"

#include <utility>

namespace stentor::sim {

namespace {

store::SimulatedEngineOptions engine_options(const StoreOptions& options) {
    store::SimulatedEngineOptions engine;
    engine.seed = options.seed;
    engine.log.shards = options.shards;
    engine.acknowledge_after = options.acknowledge_after;
    engine.log.survey_messages_min = 2;
    engine.faults = options.faults;
    if (options.slow_pages) engine.page_delay_max = std::chrono::milliseconds{100};
    return engine;
}

class SimulatedStore final : public Store {
  public:
    explicit SimulatedStore(const StoreOptions& options) : engine_{engine_options(options)} {}

    Result<store::Recovered> recover() override { return engine_.recover(); }
    void start(store::CommitSink& sink) override { engine_.start(sink); }
    store::Push submit(store::WriteBatch& batch) noexcept override { return engine_.submit(batch); }
    store::Push read(store::ReadRequest& request) noexcept override {
        return engine_.read(request);
    }
    void needed_from(ShardId shard, Seq seq) noexcept override { engine_.needed_from(shard, seq); }
    store::Room room() const noexcept override { return engine_.room(); }
    std::uint64_t log_messages() const noexcept override { return engine_.log_messages(); }
    store::GiveWay give_way() const noexcept override { return engine_.give_way(); }
    bool wants_survey(ShardId shard) const noexcept override { return engine_.wants_survey(shard); }
    void survey(ShardId shard, store::NeedSurvey survey) noexcept override {
        engine_.survey(shard, std::move(survey));
    }
    void drain_and_close() override { engine_.drain_and_close(); }

    void step(Instant now) override { engine_.step(now); }
    bool idle() const override { return !engine_.next_due(); }
    void be_gentle() override { engine_.set_faults({}); }
    void crash() override { engine_.crash(); }
    bool has_failed() const override { return false; }
    Seq last() const override { return engine_.log().last(); }
    const store::StoredState& state() const override { return engine_.log().state(); }
    std::optional<std::string> leftover() const override {
        if (engine_.log().messages() != 0) return "messages are left in the log";
        if (!engine_.log().state().pinned().empty()) return "messages are left pinned";
        return std::nullopt;
    }
    std::optional<std::string> lost_when_closed() override { return std::nullopt; }

  private:
    store::SimulatedEngine engine_;
};

}  // namespace

std::unique_ptr<Store> make_simulated_store(const StoreOptions& options) {
    return std::make_unique<SimulatedStore>(options);
}

}  // namespace stentor::sim
