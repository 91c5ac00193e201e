#include "server/admin/publisher.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <memory>
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
    asio::awaitable<void> publishing(std::size_t count) {
        Publisher::Published answer = co_await publisher.publish(messages(count));
        answers.push_back(std::move(answer));
    }
    void run() {
        io.restart();
        io.poll();
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
    Publisher publisher{
        io,
        mailboxes,
        {.for_room = std::chrono::milliseconds{1}, .for_answer = std::chrono::hours{1}}};
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
    io.restart();
    while (answers.empty()) io.run_one();
    EXPECT_EQ(answers[0].how, Publisher::How::busy);
    EXPECT_TRUE(jobs(second).empty());
    jobs(first).clear();
    run();
}

TEST_F(PublisherTest, GoesOnWhenThereIsRoomAgain) {
    Publisher patient{io, mailboxes, {}};
    publish(5);
    bool done = false;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
            Publisher::Published answer = co_await patient.publish(messages(1));
            EXPECT_EQ(answer.how, Publisher::How::done);
            done = true;
        },
        asio::detached);
    run();
    EXPECT_FALSE(done);
    for (const auto& job : jobs(first)) {
        for (int i = 0; i < 5; ++i) job->settle();
    }
    io.restart();
    while (!done) {
        io.run_one();
        for (const auto& job : jobs(second)) job->settle();
        for (const auto& job : jobs(first)) job->settle();
    }
}

}  // namespace
}  // namespace stentor::admin
