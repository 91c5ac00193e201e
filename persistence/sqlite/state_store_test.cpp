#include "persistence/sqlite/state_store.hpp"

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

/// One line per fact, so that a difference is readable.
std::vector<std::string> facts(const StoredState& state) {
    std::vector<std::string> lines;
    const auto number = [](auto value) { return std::to_string(value) + ' '; };
    for (const auto& [client, s] : state.sessions()) {
        std::string line = client + ": ";
        line += number(static_cast<int>(s.version)) + number(s.expiry_seconds) +
                number(int{s.attached}) + number(s.detached_at.time_since_epoch().count()) +
                s.user + ' ' + number(s.sent_through.value()) + number(int{s.transient});
        for (const Unfinished& u : s.unfinished) {
            line += "u" + number(u.seq.value()) + number(u.packet_id.value()) +
                    number(static_cast<int>(u.qos)) + number(static_cast<int>(u.phase));
            const bool is_pinned = state.pinned().contains(u.seq);
            line += is_pinned ? "pinned " : "";
        }
        for (const PacketId id : s.inbound) line += "i" + number(id.value());
        if (s.will) {
            line += "w" + number(s.will->delay_seconds) + std::string{s.will->message->topic()};
        }
        for (const StoredSubscription& f : s.subscriptions) {
            line += " f" + f.filter + ' ' + number(std::to_integer<int>(f.options.to_byte())) +
                    number(f.subscription_identifier) + number(f.since.value()) +
                    (f.replay_next ? "r'" + *f.replay_next + "' " : "") +
                    number(f.replay_until.value());
        }
        lines.push_back(line);
    }
    for (const auto& [topic, value] : state.retained()) {
        lines.push_back(topic + " = " + number(value.seq.value()) +
                        std::string{as_text(value.message->payload())});
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

/// Records about few sessions and topics, so that they meet.
class Traffic {
  public:
    explicit Traffic(std::uint64_t seed) : random_{seed} {}

    Record next(Seq last) {
        const std::string client = "c" + std::to_string(random_.below(5));
        const std::string topic = "t" + std::to_string(random_.below(4));
        switch (random_.below(11)) {
            case 0: {
                Attached record = samples::attached(client, random_.chance(1, 4) ? 0 : 100);
                record.discards_earlier_state = random_.chance(1, 4);
                record.user = "user of " + client;
                if (random_.chance(1, 2)) {
                    record.will =
                        WillRecord{.message = samples::message(topic), .delay_seconds = 7};
                }
                return record;
            }
            case 1: {
                Detached record;
                record.client = client;
                record.expiry_seconds = random_.chance(1, 4) ? 0 : 50;
                record.keeps_will = random_.chance(1, 2);
                record.at = Instant{Duration{static_cast<std::int64_t>(random_.below(1000))}};
                record.delivery = delivery(last);
                record.delivery.whole = true;
                record.delivery.done.clear();
                return record;
            }
            case 2:
                return SessionEnded{.client = client};
            case 3: {
                Subscribed record = samples::subscribed(client, topic);
                record.subscriptions[0].replays_retained = random_.chance(1, 2);
                record.subscriptions[0].keeps_since = random_.chance(1, 2);
                return record;
            }
            case 4:
                return Unsubscribed{.client = client, .filters = {topic}};
            case 5: {
                DeliveryState record = delivery(last);
                record.client = client;
                return record;
            }
            case 6: {
                RetainedReplay record;
                record.client = client;
                record.filter = topic;
                record.next_topic = random_.chance(1, 2) ? "" : "t1";
                record.delivery = delivery(last);
                return record;
            }
            case 7:
                return WillForgotten{.client = client};
            case 8:
                return InboundForgotten{.client = client, .packet_id = PacketId{1}};
            case 9: {
                MessageRecord record = samples::logged(topic);
                if (random_.chance(1, 2)) {
                    record.inbound = InboundQos2{.client = client, .packet_id = PacketId{1}};
                } else {
                    record.fires_will_of = client;
                }
                return record;
            }
            default:
                return samples::retained(topic,
                                         random_.chance(1, 4) ? "" : std::to_string(last.value()));
        }
    }

  private:
    DeliveryState delivery(Seq last) {
        DeliveryState state;
        state.sent_through = last;
        state.whole = random_.chance(1, 4);
        const auto id = [&] { return static_cast<std::uint16_t>(random_.between(1, 4)); };
        if (!state.whole && random_.chance(1, 2)) state.done.emplace_back(id());
        if (last != kNoSeq && random_.chance(1, 2)) {
            state.changed.push_back(
                samples::unfinished(Seq{random_.between(1, last.value())}, id()));
        }
        return state;
    }

    Random random_;
};

class StateStoreTest : public testing::Test {
  protected:
    void open() {
        store_.reset();
        auto opened = StateStore::open(directory_.file("state.db"), "");
        ASSERT_TRUE(opened.has_value());
        store_.emplace(*std::move(opened));
    }
    void commit(Seq through) {
        StateMeta meta = store_->meta();
        meta.applied_through = through;
        ASSERT_TRUE(store_->commit(meta).has_value());
    }

    kit::TempDir directory_;
    std::optional<StateStore> store_;
};

TEST_F(StateStoreTest, RowsSayWhatStoredStateSays) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE(seed);
        std::filesystem::remove(directory_.file("state.db"));
        open();
        StoredState expected;
        Traffic traffic{seed};
        Random random{seed};
        for (std::uint64_t i = 1; i <= 400; ++i) {
            const Record record = traffic.next(Seq{i - 1});
            expected.apply(Seq{i}, record);
            ASSERT_TRUE(store_->apply(Seq{i}, record).has_value());
            if (!random.chance(1, 15)) continue;
            commit(Seq{i});
            const auto loaded = store_->load();
            ASSERT_TRUE(loaded.has_value());
            ASSERT_EQ(facts(*loaded), facts(expected)) << "after " << i;
        }
        store_.reset();
    }
}

TEST_F(StateStoreTest, WhatWasNotCommittedIsGone) {
    open();
    ASSERT_TRUE(store_->apply(Seq{1}, samples::attached("kept")).has_value());
    commit(Seq{1});
    ASSERT_TRUE(store_->apply(Seq{2}, samples::attached("lost")).has_value());
    open();
    EXPECT_EQ(store_->meta().applied_through, Seq{1});
    const auto loaded = store_->load();
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->sessions().size(), 1U);
    EXPECT_TRUE(loaded->sessions().contains("kept"));
}

TEST_F(StateStoreTest, APinnedMessageLastsAsLongAsItsReference) {
    open();
    ASSERT_TRUE(store_->apply(Seq{1}, samples::attached("c")).has_value());
    ASSERT_TRUE(
        store_->apply(Seq{3}, samples::delivered("c", Seq{2}, {samples::unfinished(Seq{2}, 1)}))
            .has_value());
    EXPECT_EQ(store_->unpinned_references(Seq{1}, Seq{9}), std::vector{Seq{2}});
    store_->pin(Seq{2}, samples::message("t", "pinned"));
    EXPECT_TRUE(store_->unpinned_references(Seq{1}, Seq{9}).empty());
    commit(Seq{3});
    EXPECT_GT(store_->message_bytes(), 0U);
    open();
    EXPECT_GT(store_->message_bytes(), 0U);
    auto held = HeldMessages::open(directory_.file("state.db"), "");
    ASSERT_TRUE(held.has_value());
    EXPECT_EQ(as_text((*held->find(Seq{2}))->payload()), "pinned");
    ASSERT_TRUE(store_->apply(Seq{4}, samples::delivered("c", Seq{2})).has_value());
    commit(Seq{4});
    EXPECT_EQ(*held->find(Seq{2}), nullptr);
    EXPECT_EQ(store_->message_bytes(), 0U);
}

}  // namespace
}  // namespace stentor::store
