#include "server/admin/publisher.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <utility>
#include <variant>
#include <vector>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;
using server::PublishOutcome;

server::PublishJob::Messages messages(std::size_t count) {
    server::PublishJob::Messages all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(mqtt::Message::create({.topic = "a"}));
    return all;
}

class PublisherTest : public testing::Test {
  public:
    void publish(std::size_t count) {
        asio::co_spawn(io, publishing(count), asio::detached);
        run();
    }
    asio::awaitable<void> publishing(std::size_t count, Publisher* by = nullptr) {
        Publisher::Published answer =
            co_await (by == nullptr ? publisher : *by).publish(messages(count));
        answers.push_back(std::move(answer));
    }
    void run() {
        io.restart();
        io.poll();
    }
    /// Until there are so many answers.
    void run_until_answered(std::size_t count) {
        io.restart();
        while (answers.size() < count && io.run_one_for(std::chrono::minutes{1}) != 0) {
            if (each_time) each_time();
        }
        ASSERT_EQ(answers.size(), count);
    }
    /// What lies in a mailbox.
    static std::vector<server::PublishJobPtr> jobs(server::Mailbox& mailbox) {
        std::vector<server::ShardMessage> drained;
        mailbox.handled(mailbox.drain(drained));
        std::vector<server::PublishJobPtr> found;
        for (auto& each : drained) {
            found.push_back(std::move(std::get<server::PublishAsked>(each).job));
        }
        return found;
    }

    asio::io_context io;
    server::Mailbox first{2, [] {}, 4096};
    server::Mailbox second{2, [] {}, 4096};
    std::vector<server::Mailbox*> mailboxes{&first, &second};
    bool is_ready = true;
    std::function<bool()> readiness = [this] { return is_ready; };
    Publisher publisher{
        io,
        mailboxes,
        readiness,
        {.for_room = std::chrono::milliseconds{1}, .for_answer = std::chrono::hours{1}}};
    std::function<void()> each_time;
    std::vector<Publisher::Published> answers;
};

TEST_F(PublisherTest, GivesEachRequestToOneShardAndReturnsItsOutcomes) {
    publish(2);
    publish(1);
    auto of_first = jobs(first);
    auto of_second = jobs(second);
    ASSERT_EQ(of_first.size(), 1U);
    ASSERT_EQ(of_second.size(), 1U);
    EXPECT_EQ(of_first[0]->messages().size(), 2U);
    of_first[0]->outcome(1).seq = Seq{5};
    of_first[0]->settle();
    run();
    EXPECT_TRUE(answers.empty());
    of_first[0]->settle();
    run();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].how, Publisher::How::done);
    ASSERT_EQ(answers[0].outcomes.size(), 2U);
    EXPECT_EQ(answers[0].outcomes[1].seq, Seq{5});
    of_second[0]->settle();
    run();
    EXPECT_EQ(answers.size(), 2U);
}

TEST_F(PublisherTest, SaysWhenNobodyKnowsAnyMore) {
    publish(1);
    jobs(first).clear();  // a shard that ends lets go of what it has
    run();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].how, Publisher::How::unknown);
}

TEST_F(PublisherTest, WaitsForRoomAndThenGivesUp) {
    publish(5);  // 1 KiB each: the shard is behind
    asio::co_spawn(io, publishing(1), asio::detached);
    run_until_answered(1);
    EXPECT_EQ(answers[0].how, Publisher::How::busy);
    EXPECT_TRUE(jobs(second).empty());
    jobs(first).clear();
    run();
}

TEST_F(PublisherTest, WhatAFullMailboxDoesNotTakeGoesToTheNext) {
    for (int i = 0; i < 2; ++i) {
        server::ShardMessage other = server::TakeSnapshot{};
        ASSERT_EQ(first.push(other), server::Push::ok);
    }
    Publisher patient{io, mailboxes, readiness, {}};
    asio::co_spawn(io, publishing(3, &patient), asio::detached);
    std::size_t found = 0;
    each_time = [&] {
        for (const auto& job : jobs(second)) found = job->messages().size();
    };
    run_until_answered(1);
    EXPECT_EQ(found, 3U);
    EXPECT_EQ(answers[0].how, Publisher::How::unknown);
}

TEST_F(PublisherTest, GoesOnWhenThereIsRoomAgain) {
    Publisher patient{io, mailboxes, readiness, {}};
    publish(5);
    asio::co_spawn(io, publishing(1, &patient), asio::detached);
    run();
    EXPECT_TRUE(answers.empty());
    each_time = [&] {
        for (server::Mailbox* mailbox : mailboxes) {
            for (const auto& job : jobs(*mailbox)) {
                for (std::size_t i = 0; i < job->messages().size(); ++i) job->settle();
            }
        }
    };
    each_time();
    run_until_answered(2);
    EXPECT_EQ(answers[0].how, Publisher::How::done);
    EXPECT_EQ(answers[1].how, Publisher::How::done);
}

TEST_F(PublisherTest, WhoWaitsForRoomHearsThatTheStoreHasFailed) {
    Publisher patient{io, mailboxes, readiness, {}};
    publish(5);
    asio::co_spawn(io, publishing(1, &patient), asio::detached);
    run();
    is_ready = false;
    run_until_answered(1);
    EXPECT_EQ(answers[0].how, Publisher::How::not_ready);
    jobs(first).clear();
    run();
}

TEST_F(PublisherTest, WhatNobodyWaitsForAnyMoreStillCounts) {
    server::Mailbox roomy{2, [] {}, std::size_t{1} << 30U};
    std::vector<server::Mailbox*> one{&roomy};
    Publisher hasty{
        io,
        one,
        readiness,
        {.for_room = std::chrono::milliseconds{1}, .for_answer = std::chrono::milliseconds{1}}};
    const std::size_t most = Publisher::kOpenBytesMax / 1024;
    asio::co_spawn(io, publishing(most, &hasty), asio::detached);
    run_until_answered(1);
    EXPECT_EQ(answers[0].how, Publisher::How::unknown);
    asio::co_spawn(io, publishing(1, &hasty), asio::detached);
    run_until_answered(2);
    EXPECT_EQ(answers[1].how, Publisher::How::busy);
    jobs(roomy).clear();  // told too late, and not open any more
    run();
    asio::co_spawn(io, publishing(1, &hasty), asio::detached);
    run_until_answered(3);
    EXPECT_EQ(answers[2].how, Publisher::How::unknown);
    jobs(roomy).clear();
    run();
}

}  // namespace
}  // namespace stentor::admin
