#include "persistence/sqlite/state_store.hpp"

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/random_traffic.hpp"
#include "persistence/sqlite/state_facts.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

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
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        std::filesystem::remove(directory_.file("state.db"));
        open();
        StoredState expected;
        RandomTraffic traffic{seed};
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

/// A session that was only here for its will begins anew, whatever its record says.
TEST_F(StateStoreTest, TheSubscriptionsOfATransientSessionGoWithIt) {
    open();
    ASSERT_TRUE(store_->apply(Seq{1}, samples::attached("c", 0)).has_value());
    ASSERT_TRUE(store_->apply(Seq{2}, samples::subscribed("c", "t")).has_value());
    commit(Seq{2});
    ASSERT_TRUE(store_->apply(Seq{3}, samples::attached("c")).has_value());
    commit(Seq{3});
    const auto loaded = store_->load();
    ASSERT_TRUE(loaded.has_value());
    EXPECT_TRUE(loaded->sessions().at("c").subscriptions.empty());
}

TEST_F(StateStoreTest, TheFilesOfTheLogAreNamedByTheNextCommit) {
    open();
    std::vector<KnownSegment> named{{.id = {.first = Seq{1}, .generation = 2},
                                     .last = Seq{40},
                                     .newest_message = Seq{39},
                                     .messages = std::nullopt,
                                     .ended_at = Instant{Duration{5}},
                                     .given_up = true},
                                    {.id = {.first = Seq{41}},
                                     .last = Seq{50},
                                     .newest_message = Seq{50},
                                     .messages = 10,
                                     .ended_at = Instant{Duration{6}}},
                                    {.id = {.first = Seq{51}},
                                     .last = {},
                                     .newest_message = {},
                                     .messages = {},
                                     .ended_at = {}}};
    for (int round = 0; round < 3; ++round) {
        store_->know_segments(named);
        commit(Seq{1});
        EXPECT_EQ(store_->segments(), named);
        open();
        EXPECT_EQ(store_->segments(), named);
        commit(Seq{1});
        EXPECT_EQ(store_->segments(), named) << "who says nothing of them changes nothing";
        named[0].given_up = false;
        named.pop_back();
    }
    store_->know_segments({});
    open();
    EXPECT_EQ(store_->segments().size(), 1U) << "it was not committed";
}

TEST_F(StateStoreTest, FilesThatComeAndGoAmongManyAreNamedAsTheyAre) {
    open();
    Random random{7};
    std::vector<KnownSegment> named;
    for (int round = 0; round < 200; ++round) {
        std::erase_if(named, [&](const KnownSegment&) { return random.chance(1, 6); });
        for (KnownSegment& segment : named) {
            if (random.chance(1, 10)) ++segment.id.generation;
            if (random.chance(1, 10)) segment.last = Seq{segment.id.first.value() + 5};
        }
        for (std::uint64_t more = random.below(10); more != 0; --more) {
            KnownSegment segment;
            segment.id.first = Seq{named.empty() ? 1 : named.back().id.first.value() + 10};
            named.push_back(segment);
        }
        store_->know_segments(named);
        commit(Seq{1});
        ASSERT_EQ(store_->segments(), named);
        open();
        ASSERT_EQ(store_->segments(), named) << "round " << round;
    }
}

/// SUBSCRIBE with QoS 0 came while messages waited. It is there until they have been sent.
TEST_F(StateStoreTest, WhatIsKeptOfAnEarlierQosIsStored) {
    const auto kept = [&] {
        const auto loaded = store_->load();
        return loaded ? loaded->sessions().at("c").subscriptions.at(0).kept : KeptSpans{};
    };
    open();
    ASSERT_TRUE(store_->apply(Seq{1}, samples::attached("c")).has_value());
    ASSERT_TRUE(store_->apply(Seq{2}, samples::subscribed("c", "t")).has_value());
    Subscribed again = samples::subscribed("c", "t");
    again.subscriptions[0].options.qos = mqtt::QoS::at_most_once;
    again.subscriptions[0].keeps_since = true;
    ASSERT_TRUE(store_->apply(Seq{9}, again).has_value());
    commit(Seq{9});
    open();
    KeptSpans expected;
    expected.keep({.since = Seq{2}, .until = Seq{9}, .qos = mqtt::QoS::exactly_once}, Seq{1});
    EXPECT_EQ(kept(), expected);
    ASSERT_TRUE(store_->apply(Seq{10}, samples::delivered("c", Seq{8})).has_value());
    commit(Seq{10});
    open();
    EXPECT_EQ(kept(), expected);
    ASSERT_TRUE(store_->apply(Seq{11}, samples::delivered("c", Seq{9})).has_value());
    commit(Seq{11});
    open();
    EXPECT_TRUE(kept().empty());
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

TEST_F(StateStoreTest, TheRowOfAForgottenValueGoes) {
    open();
    ASSERT_TRUE(store_->apply(Seq{1}, samples::retained("t", "old")).has_value());
    ASSERT_TRUE(store_->apply(Seq{2}, samples::retained("u", "kept")).has_value());
    commit(Seq{2});
    const std::uint64_t both = store_->message_bytes();
    open();
    ASSERT_TRUE(store_->apply(Seq{3}, RetainedForgotten{.topic = "t", .seq = Seq{1}}).has_value());
    ASSERT_TRUE(store_->apply(Seq{4}, RetainedForgotten{.topic = "u", .seq = Seq{1}}).has_value());
    commit(Seq{4});
    EXPECT_LT(store_->message_bytes(), both);
    open();
    const auto loaded = store_->load();
    ASSERT_TRUE(loaded.has_value());
    EXPECT_FALSE(loaded->retained().contains("t"));
    EXPECT_TRUE(loaded->retained().contains("u"));
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
