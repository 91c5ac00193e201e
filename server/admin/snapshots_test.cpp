#include "server/admin/snapshots.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;

class SnapshotsTest : public testing::Test {
  public:
    void ask() {
        asio::co_spawn(io, taking(), asio::detached);
        io.restart();
        io.poll();
    }
    asio::awaitable<void> taking() {
        Figures figures = co_await snapshots.take();
        taken.push_back(figures);
    }
    /// The cookie of the question that waits for a shard; nothing: none does.
    static std::optional<std::uint64_t> asked(server::Mailbox& mailbox) {
        std::vector<server::ShardMessage> messages;
        mailbox.handled(mailbox.drain(messages));
        EXPECT_LE(messages.size(), 1U);
        if (messages.empty()) return std::nullopt;
        return std::get<server::TakeSnapshot>(messages.front()).cookie;
    }
    void answer(std::uint16_t shard, std::uint64_t cookie, std::uint64_t opened) {
        server::ShardSnapshot snapshot;
        snapshot.counters.connections_opened = opened;
        snapshot.sessions_connected = 1;
        snapshots.snapshot(ShardId{shard}, cookie, std::move(snapshot));
        io.restart();
        io.poll();
    }

    asio::io_context io;
    server::Mailbox first{10, [] {}};
    server::Mailbox second{10, [] {}};
    std::vector<server::Mailbox*> mailboxes{&first, &second};
    Snapshots snapshots{io, mailboxes};
    std::vector<Figures> taken;
};

TEST_F(SnapshotsTest, AsksEachShardOnceForAllWhoAsk) {
    ask();
    ask();
    const auto cookie = asked(first);
    ASSERT_TRUE(cookie);
    EXPECT_EQ(asked(second), cookie);
    answer(0, *cookie, 3);
    EXPECT_TRUE(taken.empty());
    answer(1, *cookie, 4);
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken[0].all.counters.connections_opened, 7U);
    EXPECT_EQ(taken[1].all.sessions_connected, 2U);
    EXPECT_EQ(taken[0].silent, 0U);
}

TEST_F(SnapshotsTest, WhatAShardCountedStaysWhenItIsReplaced) {
    ask();
    const auto cookie = asked(first);
    answer(0, *cookie, 3);
    server::ShardSnapshot last;
    last.counters.connections_opened = 5;
    last.sessions_connected = 1;
    snapshots.retired(ShardId{0}, last);
    answer(1, *cookie, 4);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].all.counters.connections_opened, 9U);
    EXPECT_EQ(taken[0].all.sessions_connected, 1U);  // the second's
}

TEST(Counters, AddUpOneByOne) {
    server::Counters sum;
    sum.sessions_expired = 1;
    server::Counters more;
    more.sessions_expired = 2;
    more.connections_opened = 3;
    more.dropped(mqtt::DropReason::expired, 4);
    add(sum, more);
    EXPECT_EQ(sum.sessions_expired, 3U);
    EXPECT_EQ(sum.connections_opened, 3U);
    EXPECT_EQ(sum.messages_dropped[static_cast<std::size_t>(mqtt::DropReason::expired)], 4U);
    EXPECT_EQ(sum.protocol_errors, 0U);
}

}  // namespace
}  // namespace stentor::admin
