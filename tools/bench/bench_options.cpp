#include "tools/bench/bench_options.hpp"

#include "base/suggest.hpp"
#include "tools/bench/stamp.hpp"
#include "tools/client/connection_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace stentor::bench {
namespace {

using tools::ArgumentValues;
using tools::Option;
using tools::OptionGroup;
using tools::set;
using tools::take;
using tools::take_number;
using tools::take_seconds;
using tools::take_version;
using tools::Usage;
using tools::UsageError;

constexpr std::uint32_t kClientsMax = 1'000'000;
constexpr std::uint32_t kFiltersMax = 1000;  // one SUBSCRIBE
constexpr std::uint32_t kTopicsMax = 10'000'000;
constexpr std::uint32_t kPayloadMax = 65'000;  // a batch fits the output buffer
constexpr std::uint32_t kClientsPerSource = 20'000;
constexpr std::uint32_t kOpenLoopWindow = 1024;
constexpr std::uint32_t kClosedLoopWindow = 32;

struct WorkloadText {
    std::string_view name;
    std::string_view what;
};
constexpr std::array<WorkloadText, 9> kWorkloads{{
    {"conn", "clients connect, subscribe if asked to, and stay for a while"},
    {"pub", "publishers only: what does it take to accept a message?"},
    {"sub", "subscribers only, for a `bench pub` somewhere else"},
    {"fanout", "few publishers, every message to many subscribers"},
    {"fanin", "many publishers, every message to few subscribers"},
    {"pairs", "each publisher has its subscriber"},
    {"offline", "durable sessions leave, messages wait for them, all come back"},
    {"retained", "values are stored, one per topic; then subscribers come and get them all"},
    {"storm", "all connections are cut at once and come back at once"},
}};

constexpr std::string_view kIntroduction =
    "Loads an MQTT broker, checks every message it delivers, and says what it took.\n"
    "\n"
    "Usage: stentor bench WORKLOAD [options]\n"
    "\n";
constexpr std::string_view kEpilogue =
    "\n"
    "Without --rate the loop is closed: the next messages leave when the window allows. With it\n"
    "the loop is open: messages leave by the clock, and latency counts from the time they were\n"
    "due, also if the broker or the generator is late.\n"
    "Exit codes: 0 all well, 1 messages lost, doubled or out of order, or the run failed, 2 "
    "usage.\n";

OptionGroup broker_group(BenchOptions& o) {
    return {
        "Broker",
        {{"-h", "--host", "HOST", "the broker (127.0.0.1)", take(o.host)},
         {"-p", "--port", "PORT", "its port (1883; 8883 with TLS)", take_number(o.port, 1, 65'535)},
         {"-L",
          "--url",
          "URL",
          "mqtt[s]://host:port, ws[s]://host:port/path or unix:///path instead",
          take(o.url)},
         {"-u", "--username", "NAME", "log in with this name", take(o.user_name)},
         {"-P", "--pw", "PASSWORD", "and this password", take(o.password)},
         {"-V", "--protocol-version", "5|311", "MQTT version (5)", take_version(o.version)},
         {"",
          "--broker-pid",
          "PID",
          "report the processor time and memory of this process",
          take_number(o.broker_pid, 1, 4'194'304)},
         {"",
          "--i-own-this-broker",
          "",
          "load a broker that is not on this machine",
          set(o.own_broker)}}};
}

OptionGroup message_group(BenchOptions& o) {
    OptionGroup group{"Messages",
                      {{"-q", "--qos", "0|1|2", "quality of service (0)", take_number(o.qos, 0, 2)},
                       {"-s",
                        "--size",
                        "BYTES",
                        "payload, at least 24 (64)",
                        take_number(o.payload_bytes, kStampBytes, kPayloadMax)},
                       {"",
                        "--window",
                        "N",
                        "messages under way per publisher (32; with --rate 1024);\n"
                        "0: as many as TCP takes, QoS 0 only",
                        take_number(o.window, 0, kWindowMax)},
                       {"",
                        "--batch",
                        "N",
                        "wait until so much of the window is free (half of it)",
                        take_number(o.batch, 1, kWindowMax)},
                       {"",
                        "--rate",
                        "N",
                        "open loop: messages per second, all publishers together",
                        [&o](ArgumentValues& values) -> Usage {
                            STENTOR_TRY(const auto text, values.next("a rate"));
                            STENTOR_TRY(o.rate, tools::parse_seconds(text));
                            return {};
                        }}}};
    if (o.workload != Workload::offline && o.workload != Workload::retained) {
        group.options.push_back({"",
                                 "--count",
                                 "N",
                                 "end after so many messages, all publishers together",
                                 take_number(o.count, 1, 4'000'000'000)});
        group.options.push_back({"",
                                 "--duration",
                                 "SECONDS",
                                 "end after that time (10, without --count)",
                                 take_seconds(o.duration_seconds)});
    }
    return group;
}

/// Publishers, subscribers and topics, as far as the workload leaves them open.
OptionGroup traffic_shape(BenchOptions& o) {
    const Option publishers{
        "", "--publishers", "N", "publishers", take_number(o.publishers, 1, kClientsMax)};
    const Option subscribers{
        "", "--subscribers", "N", "subscribers", take_number(o.subscribers, 1, kClientsMax)};
    const Option topics{"",
                        "--topics",
                        "N",
                        "topics, spread over the publishers (1)",
                        take_number(o.topics, 1, kTopicsMax)};
    const Option durable{"",
                         "--durable",
                         "",
                         "the subscribers' sessions are kept: the broker has to store",
                         set(o.durable)};
    const Option filters{"",
                         "--filters",
                         "N",
                         "more filters per subscriber, which match nothing (0)",
                         take_number(o.filters_per_client, 0, kFiltersMax)};
    OptionGroup group{"Shape", {}};
    switch (o.workload) {
        case Workload::pub:
            group.options = {publishers, topics};
            break;
        case Workload::sub:
            group.options = {subscribers, publishers, topics, durable};
            break;
        case Workload::retained:
            group.options = {{"",
                              "--topics",
                              "N",
                              "topics with a retained value each (10000)",
                              take_number(o.topics, 1, kTopicsMax)},
                             publishers,
                             subscribers,
                             durable};
            break;
        case Workload::pairs:
            group.options = {
                {"", "--pairs", "N", "pairs (100)", take_number(o.subscribers, 1, kClientsMax)},
                filters,
                durable};
            break;
        default:
            group.options = {publishers, subscribers, topics, filters, durable};
            break;
    }
    return group;
}

OptionGroup client_shape(BenchOptions& o) {
    OptionGroup group{
        "Shape",
        {{"", "--clients", "N", "clients (1000)", take_number(o.subscribers, 1, kClientsMax)},
         {"",
          "--subscriptions",
          "N",
          "topic filters per client, all different",
          take_number(o.filters_per_client, 0, kFiltersMax)},
         {"", "--durable", "", "with sessions that are kept", set(o.durable)},
         {"",
          "--concurrency",
          "N",
          "connections in the making at a time",
          take_number(o.concurrency, 1, kClientsMax)}}};
    if (o.workload == Workload::storm) {
        group.options.push_back(
            {"", "--rounds", "N", "how often all are cut (3)", take_number(o.rounds, 1, 1000)});
    } else {
        group.options.push_back(
            {"", "--rate", "N", "open loop: connections per second", take_seconds(o.connect_rate)});
        group.options.push_back({"",
                                 "--hold",
                                 "SECONDS",
                                 "stay connected that long (0)",
                                 take_seconds(o.hold_seconds)});
    }
    return group;
}

OptionGroup offline_shape(BenchOptions& o) {
    return {"Shape",
            {{"",
              "--sessions",
              "N",
              "durable sessions (1000)",
              take_number(o.subscribers, 1, kClientsMax)},
             {"",
              "--messages",
              "N",
              "for each session (100); with --broadcast: in all",
              take_number(o.messages, 1, 1'000'000)},
             {"", "--broadcast", "", "all sessions subscribe to the same topics", set(o.broadcast)},
             {"",
              "--topics",
              "N",
              "with --broadcast: how many (1)",
              take_number(o.topics, 1, kTopicsMax)},
             {"", "--publishers", "N", "publishers (4)", take_number(o.publishers, 1, kClientsMax)},
             {"",
              "--concurrency",
              "N",
              "sessions coming back at a time",
              take_number(o.concurrency, 1, kClientsMax)}}};
}

OptionGroup generator_group(BenchOptions& o) {
    return {"Generator",
            {{"", "--cpu", "N", "run on this processor only", take_number(o.cpu, 0, 1023)},
             {"",
              "--sources",
              "N",
              "source addresses 127.0.0.1, 127.0.0.2, ... (as many as the clients need)",
              take_number(o.sources, 1, 65'536)},
             {"",
              "--run",
              "NAME",
              "part of topics and client identifiers (random; pub and sub: \"run\")",
              take(o.run)},
             {"",
              "--patience",
              "SECONDS",
              "give up when nothing has moved for that long (5)",
              take_seconds(o.patience_seconds)},
             {"", "--json", "", "one JSON object on stdout", set(o.json)},
             {"", "--quiet", "", "no progress on stderr", set(o.quiet)},
             {"", "--help", "", "this text", set(o.help)}}};
}

void set_defaults(BenchOptions& o) {
    switch (o.workload) {
        case Workload::conn:
            o.subscribers = 1000;
            break;
        case Workload::storm:
            o.subscribers = 1000;
            o.filters_per_client = 2;
            o.concurrency = kClientsMax;
            break;
        case Workload::fanout:
            o.subscribers = 1000;
            break;
        case Workload::fanin:
            o.publishers = 20;
            break;
        case Workload::pairs:
            o.subscribers = 100;
            break;
        case Workload::retained:
            o.topics = 10'000;
            break;
        case Workload::offline:
            o.subscribers = 1000;
            o.publishers = 4;
            o.qos = 1;
            o.durable = true;
            break;
        default:
            break;
    }
}

std::vector<OptionGroup> groups(BenchOptions& o) {
    std::vector<OptionGroup> all;
    switch (o.workload) {
        case Workload::conn:
        case Workload::storm:
            all.push_back(client_shape(o));
            break;
        case Workload::offline:
            all.push_back(offline_shape(o));
            all.push_back(message_group(o));
            break;
        default:
            all.push_back(traffic_shape(o));
            all.push_back(message_group(o));
            break;
    }
    all.push_back(broker_group(o));
    all.push_back(tools::tls_group(o.tls));
    all.push_back(generator_group(o));
    return all;
}

std::string overview() {
    std::string text{kIntroduction};
    for (const WorkloadText& each : kWorkloads) {
        text += fmt::format("  {:<10}{}\n", each.name, each.what);
    }
    return text + "\n`stentor bench WORKLOAD --help` lists its options.\n";
}

Usage check(const BenchOptions& o) {
    if (o.qos != 0 && o.window == 0U) {
        return UsageError{"--window 0 is for QoS 0", "QoS 1 and 2 always have a window"};
    }
    if (o.workload == Workload::offline && o.qos == 0) {
        return UsageError{"QoS 0 messages do not wait for sessions that are away", "-q 1 or -q 2"};
    }
    if (o.workload == Workload::offline && !o.broadcast && o.topics != 1) {
        return UsageError{"--topics is for --broadcast", "otherwise each session has its own"};
    }
    const Plan plan = o.plan();
    if (plan.clients() > kClientsMax) return UsageError{"more than 1,000,000 clients"};
    if (streams(plan) > kStreamsMax) {
        return UsageError{"subscribers times topics are more than can be checked",
                          fmt::format("at most {}", kStreamsMax)};
    }
    if (o.run.find_first_of("+#/") != std::string::npos || o.run.size() > 64) {
        return UsageError{"--run is a part of topics", "at most 64 characters, none of '+#/'"};
    }
    return {};
}

}  // namespace

std::string_view name(Workload workload) noexcept {
    return kWorkloads[static_cast<std::size_t>(workload)].name;
}

Usage BenchOptions::parse(std::span<const std::string_view> words,
                          BenchOptions& options,
                          std::string& help) {
    if (words.empty()) return UsageError{"which workload?", "`stentor bench --help` lists them"};
    if (words.front() == "--help") {
        help = overview();
        return {};
    }
    const auto* const found = std::find_if(kWorkloads.begin(), kWorkloads.end(), [&](auto& each) {
        return each.name == words.front();
    });
    if (found == kWorkloads.end()) {
        std::vector<std::string_view> names;
        names.reserve(kWorkloads.size());
        for (const WorkloadText& each : kWorkloads) names.push_back(each.name);
        const std::string_view guess = nearest(words.front(), names);
        return UsageError{fmt::format("unknown workload '{}'", words.front()),
                          guess.empty() ? "`stentor bench --help` lists them"
                                        : fmt::format("did you mean {}?", guess)};
    }
    options.workload = static_cast<Workload>(found - kWorkloads.begin());
    set_defaults(options);
    const tools::ArgumentParser parser{groups(options), {}};
    STENTOR_TRY_VOID(parser.parse(words.subspan(1)));
    if (options.help) {
        help = fmt::format("stentor bench {}: {}\n", found->name, found->what) + parser.help() +
               std::string{kEpilogue};
        return {};
    }
    return check(options);
}

Plan BenchOptions::plan() const {
    Plan plan{.run = run,
              .publishers = publishers,
              .subscribers = subscribers,
              .topics = topics,
              .listening = Listening::all,
              .filters_per_client = filters_per_client,
              .qos = static_cast<mqtt::QoS>(qos)};
    switch (workload) {
        case Workload::conn:
        case Workload::storm:
            plan.publishers = 0;
            plan.listening = Listening::nothing;
            break;
        case Workload::pub:
            plan.subscribers = 0;
            plan.listening = Listening::nothing;
            break;
        case Workload::pairs:
            plan.publishers = subscribers;
            plan.topics = subscribers;
            plan.listening = Listening::own;
            break;
        case Workload::offline:
            if (broadcast) break;
            plan.publishers = std::min(publishers, subscribers);
            plan.topics = subscribers;
            plan.listening = Listening::own;
            break;
        default:
            break;
    }
    return plan;
}

TrafficOptions BenchOptions::traffic() const {
    TrafficOptions traffic{.version = version, .payload_bytes = payload_bytes, .rate = rate};
    traffic.window = window.value_or(rate > 0 ? kOpenLoopWindow : kClosedLoopWindow);
    traffic.batch = batch.value_or(std::max(traffic.window / 2, 1U));
    traffic.count = count;
    if (workload == Workload::offline) {
        traffic.count = broadcast ? messages : std::uint64_t{messages} * subscribers;
    }
    if (workload == Workload::retained) {
        traffic.count = topics;
        traffic.retain = true;
    }
    if (workload == Workload::sub) traffic.start = StreamStart::first_seen;
    return traffic;
}

FleetOptions BenchOptions::fleet() const {
    FleetOptions fleet{.version = version, .user_name = user_name, .password = password};
    const std::uint32_t clients = plan().clients();
    fleet.sources = sources.value_or((clients + kClientsPerSource - 1) / kClientsPerSource);
    fleet.durable = durable;
    return fleet;
}

Result<tools::Address, UsageError> BenchOptions::address() const {
    STENTOR_TRY_VOID(tools::check_key(tls));
    if (url.empty()) {
        tools::Address address{.host = host.value_or("127.0.0.1")};
        if (tools::asks_for_tls(tls, port)) address.scheme = tools::Scheme::mqtts;
        address.port = port.value_or(tools::default_port(address.scheme));
        return address;
    }
    if (host || port) return UsageError{"--url says where the broker is", "leave out -h and -p"};
    STENTOR_TRY(auto parsed, tools::parse_broker_url(url));
    if (!tools::is_tls(parsed.address.scheme) && tools::asks_for_tls(tls, {})) {
        return UsageError{fmt::format("{} is without TLS", url), "mqtts:// or wss://"};
    }
    return std::move(parsed.address);
}

}  // namespace stentor::bench
