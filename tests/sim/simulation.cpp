#include "tests/sim/simulation.hpp"

#include "tests/sim/client.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/trace.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::sim {

using mqtt::ProtocolVersion;
using mqtt::QoS;

namespace {

constexpr std::size_t kRounds = 2500;
constexpr std::size_t kSettleRounds = 20'000;

const std::vector<std::string> kTopics{"a", "a/b", "a/c", "b/a", "b/b/c"};
const std::vector<std::string> kFilters{
    "a", "a/b", "a/c", "b/a", "b/b/c", "#", "a/#", "+/b", "+", "b/+/c", "+/+", "b/#"};
const std::vector<std::string> kSharedFilters{"$share/g/a/#", "$share/g/+/b", "$share/h/b/a"};

class Simulation {
  public:
    explicit Simulation(const RunOptions& options);
    [[nodiscard]] Verdict run();

  private:
    void choose_broker(const RunOptions& options);
    void add_clients();
    void add_client(Persona persona);
    [[nodiscard]] Persona random_persona(std::size_t number);
    void pass_time(Duration step);
    void round();
    void set_and_ask();
    void crash();
    void settle(const char* what);
    void judge_retained();
    void end_everything();
    [[nodiscard]] bool failed() const { return oracle_.complaint().has_value(); }

    RunOptions options_;
    Random random_;
    Instant now_;
    Trace trace_;
    bool commits_fail_ = false;
    bool small_mailboxes_ = false;
    bool retained_lasts_ = false;  // so that it can be said what a SUBSCRIBE must bring
    bool lossy_ = false;
    unsigned crash_per_mille_ = 0;
    BrokerOptions broker_options_;
    Oracle oracle_;
    std::unique_ptr<Broker> broker_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<Instant> asleep_until_;
    std::vector<Instant> crashes_;
    bool gentle_ = false;
};

Simulation::Simulation(const RunOptions& options)
    : options_{options},
      random_{options.seed},
      now_{std::chrono::seconds{1000}},
      trace_{options.trace_lines},
      commits_fail_{random_.chance(1, 4)},
      small_mailboxes_{random_.chance(1, 4)},
      retained_lasts_{random_.chance(1, 3)},
      oracle_{trace_, {.late_messages = small_mailboxes_}} {
    oracle_.set_now(now_);
    trace_.set_now(now_);
    choose_broker(options);
    broker_ = std::make_unique<Broker>(broker_options_, now_);
    asleep_until_.resize(broker_->shards());
    add_clients();
}

void Simulation::choose_broker(const RunOptions& options) {
    constexpr std::array<std::uint16_t, 3> kShards{1, 2, 5};
    broker_options_.seed = random_.next();
    broker_options_.shards = options.shards != 0 ? options.shards : kShards[random_.below(3)];
    broker_options_.mutation = options.mutation;
    broker_options_.store = options.store;
    lossy_ = random_.chance(1, 6) && options.mutation == Mutation::none;
    if (lossy_) broker_options_.acknowledge_after = store::AcknowledgeAfter::os;
    if (random_.chance(1, 3)) crash_per_mille_ = 2;
    if (commits_fail_) {
        broker_options_.faults.fail_commit_per_mille = 20;
        broker_options_.faults.fail_read_per_mille = 20;
    }
    if (random_.chance(1, 2)) broker_options_.faults.full_per_mille = 200;
    broker_options_.slow_pages = random_.chance(1, 4);
    broker_options_.slow_admission_per_mille = random_.chance(1, 2) ? 300 : 0;
    broker_options_.mailbox_messages_max = small_mailboxes_ ? 2 : 1000;
    mqtt::SessionLimits& limits = broker_options_.shard.limits;
    if (random_.chance(1, 3)) limits.inflight_maximum = 3;
    if (random_.chance(1, 3)) limits.receive_maximum = 4;
    if (random_.chance(1, 4)) limits.outbox_bytes_max = 4096;
    Random bytes{options.seed + 1};  // the rest of the run is drawn as without
    if (bytes.chance(1, 4)) limits.inflight_bytes_max = bytes.between(1, 1000);
    if (bytes.chance(1, 4)) broker_options_.shard.work_per_turn = bytes.between(1, 50);
    if (bytes.chance(1, 4)) broker_options_.mailbox_bytes_max = bytes.between(1, 2000);
    if (!options.has_bounds) return;
    Random bounds{options.seed};  // the rest of the run is drawn as without
    if (bounds.chance(2, 3)) broker_options_.shard.backlog.messages_max = bounds.between(1, 15);
    if (bounds.chance(1, 2)) broker_options_.log_positions_max = bounds.between(10, 200);
}

Persona Simulation::random_persona(std::size_t number) {
    Persona persona;
    persona.name = "c" + std::to_string(number);
    persona.version = random_.chance(1, 3) ? ProtocolVersion::v3_1_1 : ProtocolVersion::v5;
    persona.durable = random_.chance(2, 3);
    if (random_.chance(1, 4)) {
        persona.expiry_seconds = static_cast<std::uint32_t>(random_.between(1, 10));
    }
    if (random_.chance(1, 2)) {
        persona.receive_maximum = static_cast<std::uint16_t>(random_.between(1, 5));
    }
    persona.topic_aliases = random_.chance(1, 2) ? 3 : 0;
    persona.keep_alive_seconds = random_.chance(1, 3) ? 2 : 0;
    persona.clean_per_mille = random_.chance(1, 2) ? 100 : 0;
    persona.will_per_mille = random_.chance(1, 2) ? 600 : 0;
    persona.drop_per_mille = random_.chance(2, 3) ? 15 : 0;
    persona.withhold_per_mille = random_.chance(1, 2) ? 20 : 0;
    persona.answers_out_of_order = random_.chance(1, 5);
    persona.shares = random_.chance(1, 5);
    if (retained_lasts_) {
        persona.retain_per_mille = 10;
        persona.retains_for_good = true;
    }
    if (random_.chance(2, 3)) persona.publish_per_mille = 120;
    if (random_.chance(2, 3)) persona.subscribe_per_mille = 60;
    persona.topics = kTopics;
    persona.filters = persona.shares ? kSharedFilters : kFilters;
    if (random_.chance(1, 2)) {
        persona.first_filters.push_back(persona.filters[random_.below(persona.filters.size())]);
    }
    return persona;
}

void Simulation::add_client(Persona persona) {
    clients_.push_back(std::make_unique<Client>(
        std::move(persona), random_.split(), now_, oracle_, trace_, [this](const WirePtr& wire) {
            broker_->accept(random_.below(broker_->shards()), wire);
        }));
}

void Simulation::add_clients() {
    // Somebody who sees every will, and everything else, politely.
    Persona observer;
    observer.name = "observer";
    observer.first_filters = {"will/#", "#"};
    add_client(observer);
    const std::size_t count = random_.between(3, 8);
    for (std::size_t i = 0; i < count; ++i) add_client(random_persona(i));
}

void Simulation::pass_time(Duration step) {
    now_ = saturating_add(now_, step);
    oracle_.set_now(now_);
    trace_.set_now(now_);
}

/// A few things happen, in any order.
void Simulation::round() {
    if (gentle_) {
        if (broker_->store().has_failed()) crash();
        pass_time(std::chrono::milliseconds{1});
        for (std::size_t i = 0; i < broker_->shards(); ++i) broker_->run_shard(i);
        broker_->run_engine();
        broker_->run_others();
        for (auto& client : clients_) client->turn();
        return;
    }
    pass_time(std::chrono::microseconds{random_.below(1000)});
    if (random_.chance(1, 20)) pass_time(std::chrono::milliseconds{random_.below(100)});
    if (random_.chance(1, 200)) pass_time(std::chrono::milliseconds{random_.below(3000)});
    for (auto events = random_.between(2, 8); events != 0; --events) {
        switch (random_.below(8)) {
            case 0:
            case 1:
            case 2: {
                const std::size_t shard = random_.below(broker_->shards());
                if (asleep_until_[shard] > now_) break;
                if (random_.chance(1, 60)) {
                    asleep_until_[shard] =
                        saturating_add(now_, std::chrono::milliseconds{random_.below(500)});
                    break;
                }
                broker_->run_shard(shard);
                break;
            }
            case 3:
                broker_->run_engine();
                break;
            case 4:
                broker_->run_others();
                break;
            default:
                clients_[random_.below(clients_.size())]->turn();
        }
    }
    if (retained_lasts_ && random_.chance(1, 100)) set_and_ask();
    if (random_.chance(crash_per_mille_, 1000) || broker_->store().has_failed()) crash();
}

/// A retained value is set while others ask for it: each gets it from where it is kept or live, and
/// one of the two is enough.
void Simulation::set_and_ask() {
    const auto anybody = [this]() -> Client& { return *clients_[random_.below(clients_.size())]; };
    const auto some_qos = [this] { return static_cast<QoS>(random_.between(1, 2)); };
    const std::string& topic = kTopics[random_.below(kTopics.size())];
    Client& publisher = anybody();
    if (publisher.connected()) publisher.publish(topic, some_qos(), true);
    for (auto count = random_.between(1, 3); count != 0; --count) {
        Client& asks = anybody();
        if (!asks.connected() || asks.persona().shares) continue;
        asks.subscribe(random_.chance(1, 2) ? topic : "#", {.qos = some_qos()});
    }
}

void Simulation::crash() {
    trace_.add("the broker crashes");
    broker_->crash();
    crashes_.push_back(now_);
    if (options_.trace_lines != 0) {
        for (const auto& [name, session] : broker_->store().state().sessions()) {
            std::string unfinished;
            for (const store::Unfinished& item : session.unfinished) {
                unfinished += fmt::format(" {}@{}", item.packet_id.value(), item.seq.value());
            }
            trace_.add("recovered {}: attached {} sent through {} unfinished{}",
                       name,
                       session.attached,
                       session.sent_through.value(),
                       unfinished);
        }
    }
    for (auto& client : clients_) client->broker_crashed();
    oracle_.crashed(lossy_);
    if (lossy_) {
        for (auto& client : clients_) client->forget();
    }
}

/// Everybody is polite, until nothing moves any more.
void Simulation::settle(const char* what) {
    std::size_t quiet_rounds = 0;
    for (std::size_t i = 0; i < kSettleRounds && !failed(); ++i) {
        round();
        const bool quiet = broker_->idle() &&
                           std::all_of(clients_.begin(), clients_.end(), [](const auto& client) {
                               return client->quiet();
                           });
        quiet_rounds = quiet ? quiet_rounds + 1 : 0;
        if (quiet_rounds == 20) return;
        // Deadlines that are far away.
        if (i % 200 == 199) pass_time(std::chrono::seconds{2});
    }
    for (const auto& client : clients_) trace_.add("{}", client->describe());
    trace_.add("the broker is idle: {}", broker_->idle());
    oracle_.complain(std::string{what} + ": it does not come to rest");
}

/// A new client gets exactly what is retained.
void Simulation::judge_retained() {
    Persona persona;
    persona.name = "checker";
    persona.first_filters = {"#"};
    add_client(persona);
    clients_.back()->be_polite();
    settle("the checker");
    const std::map<std::string, std::string>& seen = clients_.back()->retained();
    for (const auto& [topic, value] : broker_->store().state().retained()) {
        if (value.message->expired(now_)) continue;
        const auto at = seen.find(topic);
        if (at == seen.end() || at->second != as_text(value.message->payload())) {
            oracle_.complain("the retained value of " + topic + " is not what a new client gets");
        }
    }
    for (const auto& [topic, payload] : seen) {
        if (!broker_->store().state().retained().contains(topic)) {
            oracle_.complain("a new client gets a retained value of " + topic);
        }
    }
}

/// All sessions end; then nothing is left of them.
void Simulation::end_everything() {
    for (auto& client : clients_) client->leave();
    settle("leaving");
    for (auto& client : clients_) client->end_session();
    settle("ending the sessions");
    for (auto& client : clients_) client->leave();
    settle("leaving for ever");
    for (int i = 0; i < 10; ++i) {  // expiry, housekeeping
        pass_time(std::chrono::seconds{2});
        for (int j = 0; j < 20; ++j) round();
    }
    for (std::size_t i = 0; i < broker_->shards(); ++i) {
        const server::Shard& shard = broker_->shard(i);
        if (shard.sessions() != 0) oracle_.complain("sessions are left");
        if (shard.connections() != 0) oracle_.complain("connections are left");
        if (shard.subscriptions() != 0) oracle_.complain("subscriptions are left in the index");
        if (shard.questions_open() != 0) oracle_.complain("questions are left without an answer");
        if (broker_->wires(i) != 0) oracle_.complain("wires are left");
    }
    if (broker_->interest().counters().keys != 0) oracle_.complain("interest is left");
    for (const auto& [name, session] : broker_->store().state().sessions()) {
        oracle_.complain(fmt::format("the store still has the session of {} (attached {}, will {})",
                                     name,
                                     session.attached,
                                     session.will.has_value()));
    }
    for (const auto& [topic, value] : broker_->store().state().retained()) {
        // Long ago: housekeeping had its time.
        if (!value.message->expired(now_ - std::chrono::seconds{5})) continue;
        oracle_.complain("the store still has the expired value of " + topic);
    }
    if (const auto leftover = broker_->store().leftover()) oracle_.complain(*leftover);
    if (!failed() && !broker_->drain()) oracle_.complain("the broker does not drain");
    if (failed()) return;
    if (const auto lost = broker_->lost_when_closed()) oracle_.complain(*lost);
}

Verdict Simulation::run() {
    const std::size_t rounds = options_.rounds != 0 ? options_.rounds : kRounds;
    for (std::size_t i = 0; i < rounds && !failed(); ++i) round();
    trace_.add("everybody is polite from here on");
    gentle_ = true;
    broker_->be_gentle();
    for (auto& client : clients_) client->be_polite();
    if (!failed()) settle("the end");
    for (auto& client : clients_) {
        if (!failed() && client->unacknowledged() != 0) {
            oracle_.complain(client->persona().name + ": a PUBLISH was never acknowledged");
        }
    }
    if (!failed()) {
        for (auto& client : clients_) client->judge_wills({crashes_, commits_fail_});
        oracle_.counted_lost(broker_->lost_to_bounds());
        oracle_.judge_end();
    }
    const std::uint64_t lost = broker_->lost_to_bounds();
    if (!failed()) judge_retained();
    if (!failed()) end_everything();
    return {.complaint = oracle_.complaint(),
            .trace = trace_.text(),
            .deliveries = oracle_.deliveries(),
            .obligations = oracle_.obligations(),
            .lost = lost,
            .told = oracle_.told_lost()};
}

}  // namespace

Verdict simulate(const RunOptions& options) { return Simulation{options}.run(); }

}  // namespace stentor::sim
