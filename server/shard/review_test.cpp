// What a client may still do between a reload and its turn in the review: received() is called, and
// step() is not.

#include "base/bytes.hpp"
#include "persistence/memory/simulated_engine.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/shard.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using mqtt::ReasonCode;

/// Keeps what connections were told, and which have been closed.
class Wire final : public TransportPort {
  public:
    void write(ConnectionId /*connection*/, mqtt::WireBuffer& out) override {
        said.push_back(to_hex(out.take()));
    }
    void set_reading(ConnectionId /*connection*/, bool /*enabled*/) override {}
    void close(ConnectionId /*connection*/, mqtt::WireBuffer out) override {
        last_words.push_back(to_hex(out.take()));
    }
    std::unique_ptr<MovedSocket> detach(ConnectionId /*connection*/) override { return nullptr; }
    void attach(ConnectionId /*connection*/, std::unique_ptr<MovedSocket> /*socket*/) override {}

    std::vector<std::string> said;
    std::vector<std::string> last_words;
};

/// Rules that change.
class Rules final : public AccessControl {
  public:
    std::optional<Admission> admit(const mqtt::ConnectRequest& /*request*/,
                                   const PeerInfo& /*peer*/,
                                   ShardId /*shard*/,
                                   ConnectionId /*connection*/) override {
        Admission admission;
        admission.accepted = true;
        admission.identity = {.user = "anna", .admin = true, .edition = now};
        return admission;
    }
    /// An exchange in one round, whose verdict is `verdict`; or in two.
    class Exchange final : public AuthExchange {
      public:
        explicit Exchange(Rules& rules) : rules_{rules} {}
        std::optional<Admission> next(ByteView /*data*/,
                                      ShardId /*shard*/,
                                      ConnectionId /*connection*/) override {
            Admission admission;
            admission.goes_on = std::exchange(rules_.asks, false);
            admission.accepted = rules_.accepts && !admission.goes_on;
            admission.identity = {.user = "anna", .edition = rules_.now};
            return admission;
        }

      private:
        Rules& rules_;
    };
    std::unique_ptr<AuthExchange> begin_exchange(const mqtt::ConnectRequest& /*request*/,
                                                 const PeerInfo& /*peer*/) override {
        return std::make_unique<Exchange>(*this);
    }
    bool allows(TopicAction /*action*/,
                const Identity& identity,
                std::string_view /*client_id*/,
                std::string_view topic) const override {
        asked.push_back(std::string{topic} + (identity.admin ? " by an admin" : ""));
        return true;
    }
    [[nodiscard]] std::uint32_t edition() const noexcept override { return now; }
    [[nodiscard]] ReasonCode review(Identity& identity,
                                    std::string_view /*client_id*/,
                                    const PeerInfo& /*peer*/) const override {
        ++reviews;
        if (standing != ReasonCode::success) return standing;
        identity.edition = now;
        identity.admin = false;
        return standing;
    }
    bool checks_deliveries(const Identity& /*identity*/) const noexcept override { return false; }

    std::uint32_t now = 1;
    ReasonCode standing = ReasonCode::success;
    bool accepts = true;
    bool asks = false;
    mutable int reviews = 0;
    mutable std::vector<std::string> asked;
};

class BeforeItsReview : public testing::Test {
  protected:
    BeforeItsReview() {
        const auto recovered = engine_.recover();
        shard_.recover(*recovered, now_);
        engine_.start(fanout_);
        client_ = shard_.opened({}, now_);
        says("10 0e 00044d515454 05 02 0000 00 0001 63");  // CONNECT
        shard_.step(now_);
        rules_.asked.clear();
    }
    ~BeforeItsReview() override { engine_.drain_and_close(); }
    BeforeItsReview(const BeforeItsReview&) = delete;
    BeforeItsReview& operator=(const BeforeItsReview&) = delete;

    void says(std::string_view hex) {
        const Bytes bytes = from_hex(hex).value();
        ASSERT_EQ(shard_.received(client_, bytes, now_), bytes.size());
    }
    /// A client that may authenticate anew: its CONNECT has named a method.
    void comes_by_method() {
        says("e0 00");
        client_ = shard_.opened({}, now_);
        says("10 12 00044d515454 05 02 0000 04 15 0001 6d 0001 64");
        shard_.step(now_);
        rules_.now = 2;
        rules_.standing = ReasonCode::not_authorized;
        wire_.said.clear();
        wire_.last_words.clear();
    }
    void authenticates_anew() { says("f0 06 19 04 15 0001 6d"); }
    void publishes() { says("30 07 0003 612f62 00 78"); }  // a/b, "x"

    Instant now_{std::chrono::hours{1}};
    Wire wire_;
    Rules rules_;
    InterestTable interest_;
    const Placement placement_{1, HashKey{.k0 = 1, .k1 = 7}};
    store::SimulatedEngine engine_{{}};
    Mailbox mailbox_{1024, [] {}};
    const std::vector<Mailbox*> mailboxes_{&mailbox_};
    CommitFanout fanout_{mailboxes_};
    Shard shard_{ShardId{0},
                 {},
                 {.interest = &interest_,
                  .placement = &placement_,
                  .engine = &engine_,
                  .access = &rules_,
                  .mailboxes = mailboxes_},
                 wire_};
    ConnectionId client_;
};

TEST_F(BeforeItsReview, WhoMayNotStayDoesNothingMore) {
    publishes();
    EXPECT_EQ(rules_.asked, std::vector<std::string>{"a/b by an admin"});
    EXPECT_EQ(rules_.reviews, 0) << "nothing has changed";
    rules_.now = 2;
    rules_.standing = ReasonCode::not_authorized;
    publishes();
    EXPECT_EQ(rules_.asked.size(), 1U);
    ASSERT_EQ(wire_.last_words.size(), 1U);
    EXPECT_EQ(wire_.last_words[0].substr(0, 2), "e0");
    EXPECT_EQ(wire_.last_words[0].substr(4, 2), "87");
}

TEST_F(BeforeItsReview, WhoMayStayIsWhoHeIsNow) {
    rules_.now = 2;
    publishes();
    EXPECT_EQ(rules_.asked, std::vector<std::string>{"a/b"});
    publishes();
    EXPECT_EQ(rules_.reviews, 1) << "once is enough";
    EXPECT_TRUE(wire_.last_words.empty());
}

TEST_F(BeforeItsReview, AGoodbyeIsOne) {
    rules_.now = 2;
    rules_.standing = ReasonCode::not_authorized;
    says("e0 00");
    EXPECT_EQ(rules_.reviews, 0);
    EXPECT_EQ(wire_.last_words, std::vector<std::string>{""});
}

TEST_F(BeforeItsReview, WhoAuthenticatesAnewIsJudgedByThat) {
    comes_by_method();
    authenticates_anew();
    EXPECT_TRUE(wire_.last_words.empty());
    rules_.standing = ReasonCode::success;  // as he is now
    shard_.step(now_);
    EXPECT_EQ(wire_.said, std::vector<std::string>{"f00600041500016d"});
    publishes();
    EXPECT_EQ(rules_.asked.back(), "a/b");
    EXPECT_TRUE(wire_.last_words.empty());
}

TEST_F(BeforeItsReview, WhoAuthenticatesAnewInVainHasToGo) {
    comes_by_method();
    rules_.accepts = false;
    authenticates_anew();
    ASSERT_EQ(wire_.last_words.size(), 1U);
    EXPECT_EQ(wire_.last_words[0].substr(4, 2), "87");
}

TEST_F(BeforeItsReview, WhoIsBannedDoesNotAuthenticateAnew) {
    comes_by_method();
    rules_.standing = ReasonCode::banned;
    authenticates_anew();
    ASSERT_EQ(wire_.last_words.size(), 1U);
    EXPECT_EQ(wire_.last_words[0].substr(4, 2), "98");
}

TEST_F(BeforeItsReview, WhoIsStillToProveHimselfAsksForNothing) {
    comes_by_method();
    rules_.asks = true;
    authenticates_anew();
    shard_.step(now_);  // his turn comes meanwhile
    says("c0 00");
    EXPECT_TRUE(wire_.last_words.empty());
    says("f0 06 18 04 15 0001 6d");
    EXPECT_TRUE(wire_.last_words.empty());
    rules_.standing = ReasonCode::success;
    publishes();
    EXPECT_EQ(rules_.asked.back(), "a/b");
    now_ += ShardOptions{}.connect_timeout * 2;
    shard_.step(now_);
    EXPECT_TRUE(wire_.last_words.empty()) << "the time to prove himself does not run any more";
}

TEST_F(BeforeItsReview, WhoPublishesBeforeHeHasProvedHimselfHasToGo) {
    comes_by_method();
    rules_.asks = true;
    authenticates_anew();
    shard_.step(now_);
    publishes();
    EXPECT_TRUE(rules_.asked.empty());
    ASSERT_EQ(wire_.last_words.size(), 1U);
    EXPECT_EQ(wire_.last_words[0].substr(4, 2), "87");
}

TEST_F(BeforeItsReview, TheTimeToProveOneselfIsBounded) {
    comes_by_method();
    rules_.asks = true;
    authenticates_anew();
    shard_.step(now_);
    now_ += ShardOptions{}.connect_timeout / 2;
    shard_.step(now_);
    EXPECT_TRUE(wire_.last_words.empty());
    now_ += ShardOptions{}.connect_timeout / 2;
    shard_.step(now_);
    ASSERT_EQ(wire_.last_words.size(), 1U);
    EXPECT_EQ(wire_.last_words[0].substr(4, 2), "a0");
}

}  // namespace
}  // namespace stentor::server
