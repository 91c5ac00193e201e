#include "tools/bench/report.hpp"

#include "tools/client/json_text.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>
#include <utility>

namespace stentor::bench {
namespace {

constexpr double kGeneratorBusy = 0.95;

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }
double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

double per_second(std::uint64_t count, Duration elapsed) {
    return elapsed.count() <= 0 ? 0 : static_cast<double>(count) / seconds(elapsed);
}

double microseconds_each(Duration cpu, std::uint64_t count) {
    return count == 0 ? 0 : static_cast<double>(cpu.count()) / static_cast<double>(count);
}

/// What a phase is about: what its processor time is divided by.
std::pair<std::string_view, std::uint64_t> work_of(const PhaseReport& phase) {
    if (phase.delivered > 0) return {"delivery", phase.delivered};
    if (phase.published > 0) return {"publish", phase.published};
    return {"connect", phase.connected};
}

std::string shape(const BenchOptions& o) {
    const Plan plan = o.plan();
    switch (o.workload) {
        case Workload::conn:
        case Workload::storm:
            return fmt::format(
                "{} clients, {} filters each", plan.subscribers, o.filters_per_client);
        case Workload::pub:
            return fmt::format("{} publishers, {} topics", plan.publishers, plan.topics);
        case Workload::sub:
            return fmt::format("{} subscribers, {} topics", plan.subscribers, plan.topics);
        default:
            return fmt::format(
                "{} -> {}, {} topics", plan.publishers, plan.subscribers, plan.topics);
    }
}

std::string messages(const BenchOptions& o) {
    const TrafficOptions traffic = o.traffic();
    std::string text = fmt::format(", QoS {}, {} bytes", o.qos, o.payload_bytes);
    text += o.rate > 0 ? fmt::format(", {} /s", short_number(o.rate))
                       : fmt::format(", window {}", traffic.window);
    return text;
}

bool has_messages(Workload workload) {
    return workload != Workload::conn && workload != Workload::storm;
}

void append_latency(std::string& out, std::string_view what, const Histogram& histogram) {
    if (histogram.count() == 0) return;
    fmt::format_to(std::back_inserter(out),
                   "  {:<12} p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  max {:.3f} ms\n",
                   what,
                   milliseconds(histogram.percentile(50)),
                   milliseconds(histogram.percentile(90)),
                   milliseconds(histogram.percentile(99)),
                   milliseconds(histogram.percentile(99.9)),
                   milliseconds(histogram.max()));
}

void append_phase(std::string& out, const PhaseReport& phase) {
    auto to = std::back_inserter(out);
    fmt::format_to(to, "{:<10} {:.3f} s", phase.name, seconds(phase.elapsed));
    const std::array<std::pair<std::string_view, std::uint64_t>, 4> counts{
        {{"connected", phase.connected},
         {"published", phase.published},
         {"acknowledged", phase.acknowledged},
         {"delivered", phase.delivered}}};
    for (const auto& [what, count] : counts) {
        if (count == 0) continue;
        fmt::format_to(
            to, ", {} {} ({}/s)", what, count, short_number(per_second(count, phase.elapsed)));
    }
    out += '\n';
    append_latency(out, "connect", phase.connect);
    append_latency(out, "acknowledge", phase.acknowledge);
    append_latency(out, "deliver", phase.delivery);
    fmt::format_to(to,
                   "  {:<12} generator {:.0f} %{}",
                   "processor",
                   100 * phase.generator_share(),
                   phase.generator_share() > kGeneratorBusy ? " (its limit)" : "");
    if (const auto broker = phase.broker_cpu()) {
        const auto [what, count] = work_of(phase);
        fmt::format_to(to, ", broker {:.2f} s", seconds(*broker));
        if (count > 0) {
            fmt::format_to(to, " = {:.2f} us per {}", microseconds_each(*broker, count), what);
        }
        fmt::format_to(to,
                       ", {:.1f} -> {:.1f} MB",
                       static_cast<double>(phase.before.broker_resident_bytes) / 1e6,
                       static_cast<double>(phase.after.broker_resident_bytes) / 1e6);
    }
    out += '\n';
}

class JsonObject {
  public:
    explicit JsonObject(std::string& out) : out_{out} { out_ += '{'; }
    JsonObject(const JsonObject&) = delete;
    JsonObject& operator=(const JsonObject&) = delete;
    ~JsonObject() { out_ += '}'; }

    std::string& key(std::string_view name) {
        if (!std::exchange(first_, false)) out_ += ',';
        fmt::format_to(std::back_inserter(out_), "\"{}\":", name);
        return out_;
    }
    void number(std::string_view name, std::uint64_t value) { key(name) += std::to_string(value); }
    void real(std::string_view name, double value) { key(name) += fmt::format("{:.6g}", value); }
    void flag(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
    void text(std::string_view name, std::string_view value) {
        tools::append_json_string(key(name), value);
    }

  private:
    std::string& out_;
    bool first_ = true;
};

void append_json(JsonObject& parent, std::string_view name, const Histogram& histogram) {
    if (histogram.count() == 0) return;
    JsonObject object{parent.key(name)};
    object.number("count", histogram.count());
    object.real("min", milliseconds(histogram.min()));
    object.real("mean", milliseconds(histogram.mean()));
    object.real("p50", milliseconds(histogram.percentile(50)));
    object.real("p90", milliseconds(histogram.percentile(90)));
    object.real("p99", milliseconds(histogram.percentile(99)));
    object.real("p999", milliseconds(histogram.percentile(99.9)));
    object.real("max", milliseconds(histogram.max()));
}

void append_json(std::string& out, const PhaseReport& phase) {
    JsonObject object{out};
    object.text("name", phase.name);
    object.real("seconds", seconds(phase.elapsed));
    const std::array<std::pair<std::string, std::uint64_t>, 4> counts{
        {{"connected", phase.connected},
         {"published", phase.published},
         {"acknowledged", phase.acknowledged},
         {"delivered", phase.delivered}}};
    for (const auto& [what, count] : counts) {
        object.number(what, count);
        object.real(what + "_per_second", per_second(count, phase.elapsed));
    }
    object.number("clients_open", phase.clients_open);
    append_json(object, "connect_ms", phase.connect);
    append_json(object, "acknowledge_ms", phase.acknowledge);
    append_json(object, "delivery_ms", phase.delivery);
    object.real("generator_cpu_seconds", seconds(phase.generator_cpu()));
    object.real("generator_cpu_share", phase.generator_share());
    if (const auto broker = phase.broker_cpu()) {
        const auto [what, count] = work_of(phase);
        object.real("broker_cpu_seconds", seconds(*broker));
        object.real(fmt::format("broker_cpu_us_per_{}", what), microseconds_each(*broker, count));
        object.number("broker_resident_bytes_before", phase.before.broker_resident_bytes);
        object.number("broker_resident_bytes_after", phase.after.broker_resident_bytes);
    }
}

void append_json_facts(JsonObject& object, const BenchOptions& o, const std::string& target) {
    const Plan plan = o.plan();
    object.text("workload", name(o.workload));
    object.text("target", target);
    object.text("version", o.version == mqtt::ProtocolVersion::v5 ? "5" : "3.1.1");
    object.text("run", o.run);
    object.number("publishers", plan.publishers);
    object.number("subscribers", plan.subscribers);
    object.number("topics", plan.topics);
    object.flag("durable", o.durable);
    if (!has_messages(o.workload)) return;
    object.number("qos", o.qos);
    object.number("payload_bytes", o.payload_bytes);
    object.number("window", o.traffic().window);
    object.number("batch", o.traffic().batch);
    object.real("rate", o.rate);
}

}  // namespace

double PhaseReport::generator_share() const noexcept {
    const Duration wall = after.at - before.at;
    return wall.count() <= 0 ? 0 : seconds(generator_cpu()) / seconds(wall);
}

std::optional<Duration> PhaseReport::broker_cpu() const noexcept {
    if (!before.broker_cpu || !after.broker_cpu) return std::nullopt;
    return *after.broker_cpu - *before.broker_cpu;
}

std::string short_number(double value) {
    constexpr std::array<std::pair<double, char>, 3> kUnits{{{1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}}};
    const auto digits = [](double number) { return number < 10 ? 2 : (number < 100 ? 1 : 0); };
    for (const auto& [unit, letter] : kUnits) {
        if (value < unit) continue;
        const double number = value / unit;
        return fmt::format("{:.{}f} {}", number, digits(number), letter);
    }
    return fmt::format("{:.{}f} ", value, digits(value));
}

std::string as_text(const BenchOptions& options, const std::string& target, const Report& report) {
    std::string out = fmt::format("{}: {}{}, MQTT {}{}, {}\n",
                                  name(options.workload),
                                  shape(options),
                                  has_messages(options.workload) ? messages(options) : "",
                                  options.version == mqtt::ProtocolVersion::v5 ? "5.0" : "3.1.1",
                                  options.durable ? ", durable" : "",
                                  target);
    for (const PhaseReport& phase : report.phases) append_phase(out, phase);
    auto to = std::back_inserter(out);
    if (has_messages(options.workload)) {
        const Verdict& v = report.verdict;
        fmt::format_to(to,
                       "{:<10} {} deliveries: {} lost, {} doubled, {} out of order, {} misdirected",
                       v.flawless() ? "verified" : "FAULTY",
                       v.delivered,
                       v.lost,
                       v.doubled,
                       v.disordered,
                       v.foreign);
        if (v.repeated > 0) fmt::format_to(to, "; {} repeated with DUP", v.repeated);
        out += '\n';
    }
    if (report.counters.refused > 0) {
        fmt::format_to(to, "FAULTY     {} publishes refused\n", report.counters.refused);
    }
    if (report.unsent > 0) {
        fmt::format_to(
            to, "FAULTY     {} messages were due and could not be sent\n", report.unsent);
    }
    if (report.connections_failed > 0) {
        fmt::format_to(to, "FAULTY     {} connections failed\n", report.connections_failed);
    }
    if (!report.failure.empty()) fmt::format_to(to, "FAULTY     {}\n", report.failure);
    return out;
}

std::string as_json(const BenchOptions& options, const std::string& target, const Report& report) {
    std::string out;
    {
        JsonObject object{out};
        append_json_facts(object, options, target);
        object.flag("ok", report.ok());
        if (!report.failure.empty()) object.text("failure", report.failure);
        std::string& phases = object.key("phases");
        phases += '[';
        for (std::size_t i = 0; i < report.phases.size(); ++i) {
            if (i > 0) phases += ',';
            append_json(phases, report.phases[i]);
        }
        phases += ']';
        object.number("delivered", report.verdict.delivered);
        object.number("lost", report.verdict.lost);
        object.number("doubled", report.verdict.doubled);
        object.number("disordered", report.verdict.disordered);
        object.number("misdirected", report.verdict.foreign);
        object.number("repeated", report.verdict.repeated);
        object.number("strangers", report.counters.strangers);
        object.number("refused", report.counters.refused);
        object.number("unsent", report.unsent);
        object.number("connections_failed", report.connections_failed);
    }
    out += '\n';
    return out;
}

}  // namespace stentor::bench
