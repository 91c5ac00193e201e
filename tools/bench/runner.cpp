#include "tools/bench/runner.hpp"

#include "protocol/codec/encoder.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace stentor::bench {
namespace {

constexpr Duration kTurn = std::chrono::milliseconds{50};
constexpr Duration kLeaveMax = std::chrono::seconds{3};
constexpr double kDefaultSeconds = 10;

Duration seconds(double value) { return Duration{static_cast<Duration::rep>(value * 1e6)}; }

pid_t broker_of(const BenchOptions& options) { return static_cast<pid_t>(options.broker_pid); }

}  // namespace

Runner::Runner(const BenchOptions& options,
               const Target& target,
               const std::atomic<bool>& interrupted)
    : options_{options},
      interrupted_{interrupted},
      plan_{options.plan()},
      fleet_{plan_, options.fleet(), target},
      traffic_{plan_, options.traffic(), fleet_},
      progress_{options.quiet, broker_of(options)} {
    fleet_.attach(traffic_);
}

Report Runner::run() {
    switch (options_.workload) {
        case Workload::conn:
            run_clients();
            break;
        case Workload::storm:
            run_storm();
            break;
        case Workload::sub:
            run_subscribers();
            break;
        case Workload::offline:
            run_offline();
            break;
        case Workload::retained:
            run_retained();
            break;
        default:
            run_traffic();
            break;
    }
    report_.verdict = traffic_.verdict();
    report_.counters = traffic_.counters();
    report_.unsent = traffic_.unsent();
    report_.connections_failed = fleet_.failures();
    if (interrupted() && report_.failure.empty()) report_.failure = "interrupted";
    if (report_.failure.empty()) report_.failure = fleet_.first_failure();
    tidy_up();
    progress_.finish();
    return std::move(report_);
}

// ---- workloads

void Runner::run_clients() {
    if (!connect("connect", subscribers(), SessionUse::fresh)) return;
    wait_for(seconds(options_.hold_seconds), "hold");
    // Memory as it is now, not while they were coming.
    report_.phases.back().after.broker_resident_bytes =
        read_meter(broker_of(options_)).broker_resident_bytes;
}

void Runner::run_storm() {
    if (!connect("connect", subscribers(), SessionUse::fresh)) return;
    const SessionUse back = options_.durable ? SessionUse::resume : SessionUse::fresh;
    for (std::uint32_t round = 0; round < options_.rounds && !interrupted(); ++round) {
        for (std::uint32_t i = 0; i < plan_.subscribers; ++i) fleet_.cut(plan_.publishers + i);
        if (!connect("storm", subscribers(), back)) return;
    }
}

void Runner::run_traffic() {
    if (plan_.subscribers > 0 && !connect("subscribe", subscribers(), SessionUse::fresh)) return;
    if (!connect("connect", publishers(), SessionUse::fresh)) return;
    publish("traffic", plan_.fan());
}

void Runner::run_subscribers() {
    if (!connect("subscribe", subscribers(), SessionUse::fresh)) return;
    begin_phase("receive");
    const std::uint64_t wanted =
        options_.count == 0 ? std::numeric_limits<std::uint64_t>::max() : options_.count;
    const Duration limit = options_.duration_seconds || options_.count == 0
                               ? seconds(options_.duration_seconds.value_or(kDefaultSeconds))
                               : Duration::max();
    const Instant begun = monotonic_now();
    Watch watch{begun, patience()};
    while (!interrupted() && traffic_.delivered() < wanted) {
        fleet_.turn(kTurn);
        watch.see(progress_count(), fleet_.now());
        progress_.tick("receive", fleet_, traffic_);
        // Before the first message patience does not count: somebody has to start it.
        if (fleet_.now() - begun > limit) break;
        if (traffic_.delivered() > 0 && watch.stalled(fleet_.now())) break;
        if (fleet_.ready_count() < plan_.subscribers) break;
    }
    end_phase(watch.first(), watch.last());
    if (options_.count != 0 && traffic_.delivered() < wanted) give_up("not all messages have come");
}

void Runner::run_offline() {
    if (!connect("subscribe", subscribers(), SessionUse::fresh)) return;
    leave(subscribers(), Farewell::keep_session);
    if (!connect("connect", publishers(), SessionUse::fresh)) return;
    if (!publish("publish", 0)) return;
    drain("drain", subscribers(), SessionUse::resume);
}

void Runner::run_retained() {
    if (!connect("connect", publishers(), SessionUse::fresh)) return;
    if (publish("store", 0)) drain("replay", subscribers(), SessionUse::fresh);
    clear_retained();
}

// ---- phases

bool Runner::connect(std::string_view phase, Range clients, SessionUse use) {
    PhaseReport& report = begin_phase(phase);
    const std::uint32_t before = fleet_.ready_count();
    const Instant begun = monotonic_now();
    Watch watch{begun, patience()};
    std::uint32_t next = clients.begin;
    while (next < clients.end || fleet_.busy_count() > 0) {
        open_some(clients, next, use, begun);
        fleet_.turn(options_.connect_rate > 0 ? std::chrono::milliseconds{1} : kTurn);
        watch.see(fleet_.ready_count(), fleet_.now());
        progress_.tick(phase, fleet_, traffic_);
        if (interrupted()) return give_up("interrupted");
        if (watch.stalled(fleet_.now()) && fleet_.busy_count() > 0) {
            return give_up("clients do not get through to the broker");
        }
    }
    report.connected = fleet_.ready_count() - before;
    end_phase(begun, watch.last());
    return report.connected == clients.end - clients.begin;
}

void Runner::open_some(Range clients, std::uint32_t& next, SessionUse use, Instant start) {
    const double rate = options_.connect_rate;
    while (next < clients.end && fleet_.busy_count() < options_.concurrency) {
        Instant due = monotonic_now();
        if (rate > 0) {
            const Instant scheduled = start + seconds((next - clients.begin) / rate);
            if (scheduled > due) return;
            due = scheduled;
        }
        fleet_.open(next++, use, due);
    }
}

bool Runner::publish(std::string_view phase, std::uint32_t fan) {
    begin_phase(phase);
    const bool timed = options_.workload != Workload::offline &&
                       (options_.duration_seconds || options_.count == 0);
    const Duration limit =
        timed ? seconds(options_.duration_seconds.value_or(kDefaultSeconds)) : Duration::max();
    const Instant begun = monotonic_now();
    Watch watch{begun, patience()};
    traffic_.start(begun, fan);
    bool stopped = false;
    const auto settled = [&] {
        return traffic_.acknowledged() && (fan == 0 || traffic_.delivered() >= traffic_.expected());
    };
    while (traffic_.publishing() || !settled()) {
        traffic_.pump(monotonic_now());
        fleet_.turn(traffic_.idle_time(monotonic_now()));
        watch.see(progress_count(), fleet_.now());
        progress_.tick(phase, fleet_, traffic_);
        const Duration elapsed = fleet_.now() - begun;
        if (!stopped && elapsed > limit) {
            traffic_.stop();
            stopped = true;
        }
        // A schedule the broker cannot keep would otherwise be made up for without end.
        if (stopped && elapsed - limit > std::max(limit, patience())) traffic_.abandon();
        if (watch.stalled(fleet_.now()) || interrupted()) break;
    }
    traffic_.abandon();
    end_phase(begun, watch.last());
    if (!traffic_.acknowledged()) return give_up("not all messages have been acknowledged");
    return !interrupted();
}

bool Runner::drain(std::string_view phase, Range clients, SessionUse use) {
    PhaseReport& report = begin_phase(phase);
    const std::uint32_t before = fleet_.ready_count();
    const Instant begun = monotonic_now();
    Watch watch{begun, patience()};
    std::uint32_t next = clients.begin;
    while (next < clients.end || fleet_.busy_count() > 0 ||
           traffic_.delivered() < traffic_.expected()) {
        open_some(clients, next, use, begun);
        fleet_.turn(kTurn);
        watch.see(progress_count(), fleet_.now());
        progress_.tick(phase, fleet_, traffic_);
        if (watch.stalled(fleet_.now()) || interrupted()) break;
    }
    report.connected = fleet_.ready_count() - before;
    end_phase(begun, watch.last());
    return !interrupted();
}

// ---- their parts

std::uint64_t Runner::progress_count() const noexcept {
    const TrafficCounters& counters = traffic_.counters();
    return counters.published + counters.acknowledged + counters.refused + counters.received +
           fleet_.ready_count();
}

void Runner::leave(Range clients, Farewell farewell) {
    for (std::uint32_t i = clients.begin; i < clients.end; ++i) fleet_.leave(i, farewell);
    const Instant deadline = monotonic_now() + kLeaveMax;
    while (fleet_.leaving_count() > 0 && monotonic_now() < deadline) fleet_.turn(kTurn);
    for (std::uint32_t i = clients.begin; i < clients.end; ++i) {
        if (fleet_.is_open(i)) fleet_.cut(i);
    }
}

void Runner::tidy_up() {
    leave({0, plan_.clients()}, Farewell::forget_session);
    // 3.1.1 cannot end a session by DISCONNECT, and a run that failed has some that are away.
    const bool forgotten = options_.version == mqtt::ProtocolVersion::v5 && report_.failure.empty();
    if (!options_.durable || forgotten || interrupted()) return;
    const Range clients = subscribers();
    const Instant start = monotonic_now();
    std::uint32_t next = clients.begin;
    while (next < clients.end || fleet_.busy_count() > 0) {
        open_some(clients, next, SessionUse::forget, start);
        fleet_.turn(kTurn);
        if (fleet_.now() - start > patience()) break;
    }
    leave(clients, Farewell::forget_session);
}

/// The broker is not ours to fill: an empty payload forgets the value.
void Runner::clear_retained() {
    constexpr std::size_t kBatchBytes = std::size_t{64} * 1024;
    constexpr std::uint32_t kPublisher = 0;
    const Instant deadline = monotonic_now() + patience();
    mqtt::WireBuffer packets;
    std::uint32_t topic = 0;
    while (fleet_.is_ready(kPublisher) && monotonic_now() < deadline &&
           (topic < plan_.topics || fleet_.blocked(kPublisher))) {
        if (fleet_.blocked(kPublisher)) {
            fleet_.turn(kTurn);
            continue;
        }
        while (topic < plan_.topics && packets.size() < kBatchBytes) {
            const std::string name = plan_.topic(topic++);
            (void)mqtt::encode_publish(
                packets, options_.version, mqtt::Publish{.topic = name, .retain = true});
        }
        fleet_.send(kPublisher, packets.front());
        packets.clear();
    }
}

void Runner::wait_for(Duration time, std::string_view phase) {
    const Instant until = monotonic_now() + time;
    while (monotonic_now() < until && !interrupted()) {
        fleet_.turn(std::min(kTurn, until - monotonic_now()));
        progress_.tick(phase, fleet_, traffic_);
    }
}

PhaseReport& Runner::begin_phase(std::string_view name) {
    PhaseReport& phase = report_.phases.emplace_back();
    phase.name = name;
    counted_ = traffic_.counters();
    delivered_before_ = traffic_.delivered();
    traffic_.delivery_latency().clear();
    traffic_.acknowledge_latency().clear();
    fleet_.connect_latency().clear();
    phase.before = read_meter(broker_of(options_));
    return phase;
}

void Runner::end_phase(Instant begun, Instant ended) {
    PhaseReport& phase = report_.phases.back();
    phase.after = read_meter(broker_of(options_));
    phase.elapsed = ended - begun;
    phase.published = traffic_.counters().published - counted_.published;
    phase.acknowledged = traffic_.counters().acknowledged - counted_.acknowledged;
    phase.delivered = traffic_.delivered() - delivered_before_;
    phase.delivery = traffic_.delivery_latency();
    phase.acknowledge = traffic_.acknowledge_latency();
    phase.connect = fleet_.connect_latency();
    phase.clients_open = fleet_.ready_count();
}

/// Remembers the first reason; the broker's own words count more.
bool Runner::give_up(std::string_view why) {
    if (report_.failure.empty()) {
        report_.failure =
            fleet_.first_failure().empty() ? std::string{why} : fleet_.first_failure();
    }
    return false;
}

Duration Runner::patience() const noexcept { return seconds(options_.patience_seconds); }

}  // namespace stentor::bench
