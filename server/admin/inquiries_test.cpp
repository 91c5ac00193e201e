#include "server/admin/inquiries.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;
using server::ClientFound;
using server::ClientQuestion;
using server::Finding;
using server::Kicked;

class InquiriesTest : public testing::Test {
  public:
    /// One who asks the first shard about a client of that name.
    void ask(std::string name) {
        asio::co_spawn(io, asking(std::move(name)), asio::detached);
        run();
    }
    void kick() {
        asio::co_spawn(io, kicking(), asio::detached);
        run();
    }
    asio::awaitable<void> asking(std::string name) {
        server::Question question = ClientQuestion{std::move(name)};
        auto finding = co_await inquiries.ask(ShardId{0}, std::move(question));
        findings.push_back(std::move(finding));
    }
    asio::awaitable<void> kicking() {
        std::string client = "c";
        auto finding = co_await inquiries.kick(ShardId{0}, std::move(client), true);
        findings.push_back(std::move(finding));
    }
    void run() {
        io.restart();
        io.poll();
    }
    /// What lies in the shard's mailbox.
    std::vector<server::ShardMessage> drain() {
        std::vector<server::ShardMessage> messages;
        mailbox.handled(mailbox.drain(messages));
        return messages;
    }
    static server::Inquiry& inquiry(server::ShardMessage& message) {
        return std::get<server::Inquiry>(message);
    }
    static std::string client_of(server::ShardMessage& message) {
        return std::get<ClientQuestion>(inquiry(message).question).client_id;
    }

    asio::io_context io;
    server::Mailbox mailbox{2, [] {}};
    std::vector<server::Mailbox*> mailboxes{&mailbox};
    Inquiries inquiries{io, mailboxes, std::chrono::hours{1}};
    std::vector<std::optional<Finding>> findings;
};

TEST_F(InquiriesTest, AShardHasOneQuestionAtATime) {
    for (int i = 0; i < 5; ++i) ask(std::to_string(i));
    for (int i = 0; i < 5; ++i) {
        auto messages = drain();
        ASSERT_EQ(messages.size(), 1U) << i;
        EXPECT_EQ(client_of(messages[0]), std::to_string(i));
        inquiry(messages[0]).asker.tell(ClientFound{});
        run();
        ASSERT_EQ(findings.size(), static_cast<std::size_t>(i) + 1);
        EXPECT_TRUE(std::holds_alternative<ClientFound>(*findings.back()));
    }
    EXPECT_TRUE(drain().empty());
}

TEST_F(InquiriesTest, AShardThatEndsOrIsFullAnswersWithNothing) {
    ask("a");
    ask("b");
    drain().clear();  // destroyed unanswered
    run();
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_FALSE(findings[0]);
    drain().clear();
    for (int i = 0; i < 2; ++i) {
        server::ShardMessage other = server::TakeSnapshot{};
        ASSERT_EQ(mailbox.push(other), server::Push::ok);
    }
    run();
    ask("c");
    run();
    ASSERT_EQ(findings.size(), 3U);
    EXPECT_FALSE(findings[2]);
}

TEST_F(InquiriesTest, AKickWaitsForNobodyAndOvertakes) {
    ask("a");
    kick();
    std::vector<server::ShardMessage> ahead;
    mailbox.drain_ahead(ahead);
    ASSERT_EQ(ahead.size(), 1U);
    auto& kick = std::get<server::Kick>(ahead[0]);
    EXPECT_EQ(kick.client_id, "c");
    EXPECT_EQ(kick.reason, mqtt::ReasonCode::administrative_action);
    EXPECT_TRUE(kick.discard_session);
    kick.asker.tell(Kicked{.has_session = true});
    run();
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_TRUE(std::get<Kicked>(*findings[0]).has_session);
    drain().clear();
    run();
}

class ImpatientTest : public InquiriesTest {
  public:
    Inquiries hasty{io, mailboxes, std::chrono::milliseconds{1}};
    asio::awaitable<void> asking_hastily() {
        server::Question question = ClientQuestion{"a"};
        auto finding = co_await hasty.ask(ShardId{0}, std::move(question));
        findings.push_back(std::move(finding));
    }
};

TEST_F(ImpatientTest, WhatNobodyWaitsForAnyMoreStillHasItsTurn) {
    asio::co_spawn(io, asking_hastily(), asio::detached);
    asio::co_spawn(io, asking_hastily(), asio::detached);
    io.run();
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_FALSE(findings[0]);
    EXPECT_FALSE(findings[1]);
    EXPECT_EQ(drain().size(), 1U) << "and is answered here by being destroyed";
    run();
    asio::co_spawn(io, asking_hastily(), asio::detached);
    run();
    EXPECT_EQ(drain().size(), 1U);
    run();
}

}  // namespace
}  // namespace stentor::admin
