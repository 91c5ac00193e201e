#include "tools/bench/verifier.hpp"

#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <array>

namespace stentor::bench {
namespace {

constexpr auto kNo = Marked::no;
constexpr auto kYes = Marked::yes;

Plan all_to_all(std::uint32_t publishers, std::uint32_t subscribers, std::uint32_t topics) {
    return {.run = "test",
            .publishers = publishers,
            .subscribers = subscribers,
            .topics = topics,
            .listening = Listening::all};
}

TEST(Verifier, FindsNothingWrongWithOrder) {
    Verifier verifier{all_to_all(2, 3, 1), StreamStart::zero};
    for (std::uint32_t sequence = 0; sequence < 5; ++sequence) {
        for (std::uint32_t subscriber = 0; subscriber < 3; ++subscriber) {
            for (std::uint32_t flow = 0; flow < 2; ++flow) {
                EXPECT_TRUE(verifier.on_message(subscriber, flow, sequence, kNo));
            }
        }
    }
    const Verdict verdict = verifier.judge(std::array{5U, 5U});
    EXPECT_TRUE(verdict.flawless());
    EXPECT_EQ(verdict.delivered, 30U);
}

TEST(Verifier, CountsWhatIsMissingInTheMiddleAndAtTheEnd) {
    Verifier verifier{all_to_all(1, 1, 1), StreamStart::zero};
    for (const std::uint32_t sequence : {0U, 3U, 4U}) verifier.on_message(0, 0, sequence, kNo);
    const Verdict verdict = verifier.judge(std::array{7U});
    EXPECT_EQ(verdict.lost, 4U);
    EXPECT_EQ(verdict.delivered, 3U);
    EXPECT_EQ(verdict.disordered, 0U);
    EXPECT_FALSE(verdict.flawless());
}

TEST(Verifier, CallsLateOnesDisorderedAndNotLost) {
    Verifier verifier{all_to_all(1, 1, 1), StreamStart::zero};
    for (const std::uint32_t sequence : {0U, 4U, 2U, 1U, 3U}) {
        EXPECT_TRUE(verifier.on_message(0, 0, sequence, kNo)) << sequence;
    }
    const Verdict verdict = verifier.judge(std::array{5U});
    EXPECT_EQ(verdict.disordered, 3U);
    EXPECT_EQ(verdict.lost, 0U);
    EXPECT_EQ(verdict.doubled, 0U);
    EXPECT_EQ(verdict.delivered, 5U);
}

TEST(Verifier, TellsDoublesFromAnnouncedRepetitions) {
    Verifier verifier{all_to_all(1, 1, 1), StreamStart::zero};
    EXPECT_TRUE(verifier.on_message(0, 0, 0, kNo));
    EXPECT_TRUE(verifier.on_message(0, 0, 2, kNo));
    EXPECT_FALSE(verifier.on_message(0, 0, 0, kNo));
    EXPECT_FALSE(verifier.on_message(0, 0, 2, kYes));
    EXPECT_TRUE(verifier.on_message(0, 0, 1, kYes));
    EXPECT_FALSE(verifier.on_message(0, 0, 1, kNo));
    const Verdict verdict = verifier.judge(std::array{3U});
    EXPECT_EQ(verdict.doubled, 2U);
    EXPECT_EQ(verdict.repeated, 1U);
    EXPECT_EQ(verdict.delivered, 3U);
    EXPECT_EQ(verdict.lost, 0U);
}

TEST(Verifier, RefusesMessagesOfOtherFlows) {
    Verifier verifier{all_to_all(2, 1, 1), StreamStart::zero};
    EXPECT_FALSE(verifier.on_message(0, 2, 0, kNo));
    Plan pairs = all_to_all(3, 3, 3);
    pairs.listening = Listening::own;
    Verifier own{pairs, StreamStart::zero};
    EXPECT_TRUE(own.on_message(1, 1, 0, kNo));
    EXPECT_FALSE(own.on_message(1, 2, 0, kNo));
    EXPECT_EQ(verifier.judge({}).foreign, 1U);
    EXPECT_EQ(own.judge({}).foreign, 1U);
}

TEST(Verifier, WhoComesLateStartsWithWhatIsSeenFirst) {
    Verifier verifier{all_to_all(1, 2, 1), StreamStart::first_seen};
    for (const std::uint32_t sequence : {100U, 101U, 103U}) {
        verifier.on_message(0, 0, sequence, kNo);
    }
    const Verdict verdict = verifier.judge(std::array{0U});
    EXPECT_EQ(verdict.lost, 1U);
    EXPECT_EQ(verdict.delivered, 3U);
}

TEST(Plan, SpreadsTopicsAndPublishersOverFlows) {
    const Plan many_topics = all_to_all(3, 1, 10);
    EXPECT_EQ(many_topics.flows(), 10U);
    EXPECT_EQ(many_topics.publisher_of(7), 1U);
    EXPECT_EQ(many_topics.topic_of(7), 7U);
    const Plan one_topic = all_to_all(20, 1, 1);
    EXPECT_EQ(one_topic.flows(), 20U);
    EXPECT_EQ(one_topic.publisher_of(7), 7U);
    EXPECT_EQ(one_topic.topic_of(7), 0U);
    EXPECT_EQ(one_topic.filters(20), std::vector<std::string>{"bench/test/00000000"});
    EXPECT_EQ(many_topics.filters(3), std::vector<std::string>{"bench/test/+"});
    EXPECT_TRUE(many_topics.filters(2).empty());
}

TEST(Plan, MoreFiltersMatchNoTopic) {
    Plan plan = all_to_all(1, 1, 3);
    plan.filters_per_client = 30;
    const std::vector<std::string> filters = plan.filters(1);
    ASSERT_EQ(filters.size(), 31U);
    for (std::size_t i = 0; i < filters.size(); ++i) {
        EXPECT_EQ(mqtt::matches(filters[i], plan.topic(1)), i == 0) << filters[i];
    }
}

TEST(Plan, NamesAreTheClientsOwn) {
    const Plan plan = all_to_all(2, 2, 1);
    EXPECT_EQ(plan.client_id(1), "bench-test-p1");
    EXPECT_EQ(plan.client_id(2), "bench-test-s0");
    EXPECT_EQ(plan.topic(5).size(), plan.topic(12'345'678).size());
    EXPECT_NE(run_number("a"), run_number("b"));
}

}  // namespace
}  // namespace stentor::bench
