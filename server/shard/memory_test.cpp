// What sessions take in memory: of all heap blocks together, with what the allocator adds to each.
//
// A program of its own, because it counts what operator new is asked for.

#include "protocol/codec/wire_buffer.hpp"
#include "tests/kit/allocations.hpp"
#include "tests/kit/lone_shard.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stentor::server {
namespace {

std::string numbered(std::string_view text, std::size_t number, std::size_t size) {
    const std::string digits = std::to_string(number);
    return std::string{text} + std::string(size - text.size() - digits.size(), '0') + digits;
}

// As in docs/storage.md: an identifier of 24 bytes, and two filters of 32.
std::string client_of(std::size_t i) { return numbered("client-", i, 24); }
std::string first_filter_of(std::size_t i) { return numbered("user/notifications/", i, 32); }
std::string second_filter_of(std::size_t i) { return numbered("user/commands/", i, 32); }

void put_text(mqtt::WireBuffer& to, std::string_view text) {
    const std::array<std::byte, 2> size{std::byte{0}, static_cast<std::byte>(text.size())};
    to.append(size);
    to.append(as_bytes(text));
}

/// Away, and known to the store, with a loss to tell.
store::Recovered with_losses(std::size_t sessions) {
    store::Recovered recovered;
    std::uint64_t seq = 0;
    for (std::size_t i = 0; i < sessions; ++i) {
        recovered.state.apply(Seq{++seq},
                              store::Attached{.client = client_of(i),
                                              .discards_earlier_state = true,
                                              .expiry_seconds = 3600,
                                              .will = {},
                                              .user = {},
                                              .at = {}});
        store::Subscribed subscribed{.client = client_of(i), .subscriptions = {}};
        for (const std::string& filter : {first_filter_of(i), second_filter_of(i)}) {
            store::SubscriptionRecord& each = subscribed.subscriptions.emplace_back();
            each.filter = filter;
            each.options.qos = mqtt::QoS::at_least_once;
        }
        recovered.state.apply(Seq{++seq}, subscribed);
        store::Detached detached{
            .client = client_of(i), .expiry_seconds = 3600, .at = {}, .delivery = {}};
        detached.delivery.sent_through = Seq{seq};
        detached.delivery.whole = true;
        detached.delivery.loss =
            store::SessionLoss{.messages = 1000, .reason = store::LossReason::log_full};
        recovered.state.apply(Seq{++seq}, detached);
    }
    recovered.last = Seq{seq};
    return recovered;
}

class SessionMemory : public LoneShard {};

TEST_F(SessionMemory, OneThatIsAwayWithALossToTellCosts300BytesAtMost) {
    constexpr std::size_t kSessions = 4000;
    Shard shard{ShardId{0},
                {},
                {.interest = &interest_,
                 .placement = &placement_,
                 .engine = &engine_,
                 .access = &access_,
                 .mailboxes = mailboxes_},
                transport_};
    const store::Recovered recovered = with_losses(kSessions);
    const std::size_t before = kit::bytes_in_use;
    shard.recover(recovered, now_);
    EXPECT_EQ(shard.sessions(), kSessions);
    EXPECT_EQ(shard.sessions_awake(), 0U);
    EXPECT_LE((kit::bytes_in_use - before) / kSessions, 300U);
}

class AtItsBound : public LoneShard {
  protected:
    static constexpr std::size_t kHeld = 10;

    AtItsBound() : LoneShard{options()} { transport_.keeps = true; }

    static ShardOptions options() {
        ShardOptions options;
        options.backlog.messages_max = kHeld;
        return options;
    }

    /// What the broker says to a CONNECT of session `i`, which stays for an hour.
    Bytes comes_back(std::size_t i, ConnectionId& connection) {
        connection = shard_.opened({}, now_);
        mqtt::WireBuffer connect;
        connect.append(from_hex("10 2a 00044d515454 05 00 0000 05 11 00000e10").value());
        put_text(connect, client_of(i));
        transport_.kept.clear();
        bring(connection, connect.take());
        return std::exchange(transport_.kept, {});
    }
    void leaves(ConnectionId connection) { bring(connection, "e0 00"); }
    void seconds_pass(int seconds) {
        for (; seconds != 0; --seconds) {
            now_ += std::chrono::seconds{1};
            settle();
        }
    }
};

TEST_F(AtItsBound, OneThatIsAdvancedRestsAndTellsItsLossOnceWhenItIsBack) {
    constexpr std::size_t kSessions = 40;
    ConnectionId connection;
    for (std::size_t i = 0; i < kSessions; ++i) {
        (void)comes_back(i, connection);
        bring(connection, "82 09 0001 00 0003 612f62 01");  // SUBSCRIBE a/b, QoS 1
        leaves(connection);
    }
    EXPECT_EQ(shard_.sessions_awake(), 0U);
    const ConnectionId publisher = connected("70");
    for (int i = 0; i < 50; ++i) bring(publisher, "32 09 0003 612f62 0001 00 78");
    seconds_pass(60);
    EXPECT_EQ(shard_.counters().sessions_advanced, kSessions);
    EXPECT_EQ(shard_.sessions_awake(), 1U) << "the publisher";
    const std::string kTells = "stentor-lost-messages";
    for (std::size_t i = 0; i < kSessions; ++i) {
        const Bytes first = comes_back(i, connection);
        EXPECT_NE(as_text(first).find(kTells), std::string_view::npos) << i;
        leaves(connection);
        const Bytes second = comes_back(i, connection);
        EXPECT_EQ(as_text(second).find(kTells), std::string_view::npos) << i;
        leaves(connection);
    }
}

}  // namespace
}  // namespace stentor::server
