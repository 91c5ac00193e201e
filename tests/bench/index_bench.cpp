// What a PUBLISH pays for being routed: the subscription index, the interest table and the retained
// store, with as many filters as a large shard holds.

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "protocol/message.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/match_set.hpp"
#include "server/core/retained_store.hpp"
#include "server/core/subscription_index.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {
namespace {

struct Topic {
    explicit Topic(std::string name) : text{std::move(name)}, hash{mqtt::topic_hash(text)} {}
    std::string text;
    std::uint64_t hash;
};

std::string device_topic(std::size_t device) {
    return "tenant/site-" + std::to_string(device % 100) + "/device/" + std::to_string(device) +
           "/state";
}

// `count` topics of devices below `devices`, in random order.
std::vector<Topic> device_topics(std::size_t devices, std::size_t count) {
    Random random{1};
    std::vector<Topic> topics;
    for (std::size_t i = 0; i < count; ++i)
        topics.emplace_back(device_topic(random.below(devices)));
    return topics;
}

Subscriber subscriber(std::size_t slot) {
    return {.id = SubscriberId::session(static_cast<std::uint32_t>(slot)),
            .options = {},
            .since = kNoSeq};
}

void run_matches(benchmark::State& state,
                 SubscriptionIndex& index,
                 const std::vector<Topic>& topics) {
    MatchSet found;
    std::size_t next = 0;
    std::size_t matched = 0;
    for (auto _ : state) {
        const Topic& topic = topics[next];
        if (++next == topics.size()) next = 0;
        index.match(topic.text, topic.hash, found);
        matched += found.size();
    }
    benchmark::DoNotOptimize(matched);
    const auto counters = index.cache_counters();
    const auto looked = static_cast<double>(counters.hits + counters.misses + counters.bypassed);
    state.counters["matches"] =
        static_cast<double>(matched) / static_cast<double>(state.iterations());
    state.counters["hit_rate"] = looked == 0 ? 0 : static_cast<double>(counters.hits) / looked;
    state.counters["bytes_per_sub"] =
        static_cast<double>(index.memory_bytes()) / static_cast<double>(index.subscriptions());
}

// Exact filters only. Hot: 64 topics in turn; cold: topics from all over the table.
void match_exact(benchmark::State& state) {
    const auto filters = static_cast<std::size_t>(state.range(0));
    const auto topics = static_cast<std::size_t>(state.range(1));
    SubscriptionIndex index;
    for (std::size_t i = 0; i < filters; ++i) index.add(device_topic(i), subscriber(i));
    run_matches(state, index, device_topics(filters, topics));
}
BENCHMARK(match_exact)
    ->ArgNames({"filters", "topics"})
    ->ArgsProduct({{1'000, 100'000, 1'000'000}, {64, 100'000}});

void add_wildcard_mix(SubscriptionIndex& index, std::size_t devices) {
    for (std::size_t i = 0; i < devices; ++i) {
        index.add(device_topic(i), subscriber(i));
        index.add("tenant/+/device/" + std::to_string(i) + "/+", subscriber(i));
    }
    for (std::size_t site = 0; site < 100; ++site) {
        index.add("tenant/site-" + std::to_string(site) + "/#", subscriber(site));
    }
    index.add("+/+/device/+/state", subscriber(0));
    index.add("#", subscriber(1));
}

// Every topic matches five filters: one exact, four with wildcards. The second argument sizes the
// cache: 0 shows the trie alone.
void match_wildcard_mix(benchmark::State& state) {
    const auto devices = static_cast<std::size_t>(state.range(0));
    SubscriptionIndex index{
        {.hash_key = {}, .cached_topics_max = static_cast<std::size_t>(state.range(2))}};
    add_wildcard_mix(index, devices);
    run_matches(state, index, device_topics(devices, static_cast<std::size_t>(state.range(1))));
}
BENCHMARK(match_wildcard_mix)
    ->ArgNames({"devices", "topics", "cache"})
    ->ArgsProduct({{1'000, 100'000}, {64, 4'000, 100'000}, {0, 8192}});

// One wildcard filter comes or goes with every match. The argument says whose: of the devices that
// connect (their literal prefix is their own), of a site, or beginning with a wildcard.
void match_under_churn(benchmark::State& state) {
    SubscriptionIndex index;
    add_wildcard_mix(index, 1'000);
    const std::vector<Topic> topics = device_topics(1'000, 1'000);
    std::vector<std::string> filters;
    for (std::size_t i = 0; i < 10'000; ++i) {
        const std::string number = std::to_string(i);
        switch (state.range(0)) {
            case 0:
                filters.push_back("tenant/site-1/new/" + number + "/#");
                break;
            case 1:
                filters.push_back("tenant/site-" + std::to_string(i % 100) + "/+/" + number);
                break;
            default:
                filters.push_back("+/new/" + number);
                break;
        }
    }
    MatchSet found;
    std::size_t next = 0;
    for (auto _ : state) {
        const std::string& filter = filters[next % filters.size()];
        if (next / filters.size() % 2 == 0) {
            index.add(filter, subscriber(7));
        } else {
            index.remove(filter, subscriber(7).id);
        }
        const Topic& topic = topics[next % topics.size()];
        index.match(topic.text, topic.hash, found);
        ++next;
    }
    const auto counters = index.cache_counters();
    state.counters["hit_rate"] =
        static_cast<double>(counters.hits) / static_cast<double>(counters.hits + counters.misses);
}
BENCHMARK(match_under_churn)->ArgNames({"kind"})->DenseRange(0, 2);

void add_and_remove(benchmark::State& state) {
    SubscriptionIndex index;
    const bool wildcard = state.range(0) != 0;
    for (std::size_t i = 0; i < 100'000; ++i) index.add(device_topic(i), subscriber(i));
    std::size_t next = 100'000;
    for (auto _ : state) {
        const std::string filter = device_topic(next++) + (wildcard ? "/+" : "");
        index.add(filter, subscriber(7));
        index.remove(filter, subscriber(7).id);
    }
}
BENCHMARK(add_and_remove)->ArgNames({"wildcard"})->Arg(0)->Arg(1);

// A broadcast that also an archive with "#" wants: grouping the entries by subscriber.
void group_matches(benchmark::State& state) {
    SubscriptionIndex index;
    const auto subscribers = static_cast<std::size_t>(state.range(0));
    for (std::size_t i = 0; i < subscribers; ++i) index.add("all", subscriber(i));
    index.add("#", subscriber(0));
    MatchSet found;
    index.match("all", mqtt::topic_hash("all"), found);
    MatchGroups groups;
    for (auto _ : state) {
        groups.assign(found);
        benchmark::DoNotOptimize(groups.size());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(group_matches)->Arg(10)->Arg(10'000);

void look_up_interest(benchmark::State& state) {
    static InterestTable* table = nullptr;
    if (state.thread_index() == 0) {
        table = new InterestTable;
        for (std::size_t i = 0; i < static_cast<std::size_t>(state.range(0)); ++i) {
            table->raise(
                device_topic(i), ShardId{static_cast<std::uint16_t>(i % 4)}, Durability::durable);
        }
        std::string filter = "tenant";
        for (std::int64_t shape = 0; shape < state.range(1); ++shape) {
            table->raise(filter + "/+/device/#", ShardId{0}, Durability::transient);
            filter += "/+";
        }
    }
    const std::vector<Topic> topics =
        device_topics(static_cast<std::size_t>(state.range(0)), 10'000);
    std::size_t next = 0;
    std::uint64_t shards = 0;
    for (auto _ : state) {
        const Topic& topic = topics[next];
        if (++next == topics.size()) next = 0;
        shards += table->look_up(topic.text, topic.hash).shards.bits();
    }
    benchmark::DoNotOptimize(shards);
    if (state.thread_index() == 0) {
        state.counters["bytes_per_key"] = static_cast<double>(table->counters().memory_bytes) /
                                          static_cast<double>(table->counters().keys);
        delete table;
    }
}
BENCHMARK(look_up_interest)
    ->ArgNames({"filters", "shapes"})
    ->ArgsProduct({{1'000, 1'000'000}, {0, 1, 4}})
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();

void raise_and_lower(benchmark::State& state) {
    static InterestTable table;
    auto next = static_cast<std::size_t>(state.thread_index()) * 1'000'000'000;
    const ShardId shard{static_cast<std::uint16_t>(state.thread_index())};
    for (auto _ : state) {
        const std::string filter = device_topic(next++);
        table.raise(filter, shard, Durability::durable);
        table.lower(filter, shard, Durability::durable);
    }
}
BENCHMARK(raise_and_lower)->Threads(1)->Threads(2)->UseRealTime();

RetainedStore filled_store(std::size_t topics) {
    RetainedStore store;
    for (std::size_t i = 0; i < topics; ++i) {
        const std::string topic = device_topic(i);
        store.store({.message = mqtt::Message::create({.topic = topic,
                                                       .properties = {},
                                                       .payload = as_bytes("21.5"),
                                                       .publisher = "device",
                                                       .retain = true,
                                                       .arrival = {},
                                                       .message_expiry_seconds = {}}),
                     .seq = Seq{i + 1}});
    }
    return store;
}

void replace_retained(benchmark::State& state) {
    const auto topics = static_cast<std::size_t>(state.range(0));
    RetainedStore store = filled_store(topics);
    std::vector<MessagePtr> messages;
    for (const Topic& topic : device_topics(topics, 100'000)) {
        messages.push_back(mqtt::Message::create({.topic = topic.text,
                                                  .properties = {},
                                                  .payload = as_bytes("22.5"),
                                                  .publisher = "device",
                                                  .retain = true,
                                                  .arrival = {},
                                                  .message_expiry_seconds = {}}));
    }
    std::uint64_t seq = topics;
    for (auto _ : state) {
        ++seq;
        store.store({.message = messages[seq % messages.size()], .seq = Seq{seq}});
    }
}
BENCHMARK(replace_retained)->ArgNames({"topics"})->Arg(1'000)->Arg(100'000)->Arg(1'000'000);

// One query to its end; the filters match 1, 5, 1 % and all of the topics.
void query_retained(benchmark::State& state) {
    const RetainedStore store = filled_store(100'000);
    constexpr const char* kFilters[] = {
        "tenant/+/device/4242/state", "tenant/site-42/device/4242/#", "tenant/site-42/#", "#"};
    const std::string_view filter = kFilters[state.range(0)];
    std::vector<RetainedValue> values;
    values.reserve(store.size());  // or glibc tidies up what the benchmarks before have freed
    for (auto _ : state) {
        values.clear();
        RetainedCursor cursor;
        while (!cursor.done) store.match(filter, Seq{UINT64_MAX}, {}, {}, cursor, values);
    }
    state.counters["values"] = static_cast<double>(values.size());
    state.SetLabel(std::string{filter});
}
BENCHMARK(query_retained)->DenseRange(0, 3);

}  // namespace
}  // namespace stentor::server
