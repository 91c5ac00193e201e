// What administrators ask: lists come in slices that are bounded however many sessions there are,
// wake nobody and are complete; a client that is sent away is told, and its session's end is on
// disk before anybody is told.

#include "base/log.hpp"
#include "server/shard/inquiry.hpp"
#include "tests/sim/broker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::sim {
namespace {

using server::ClientFound;
using server::ClientQuestion;
using server::ClientsPage;
using server::ClientsQuestion;
using server::Finding;
using server::Kicked;
using server::ListPlace;
using server::RetainedFound;
using server::RetainedQuestion;
using server::SubscriptionsPage;
using server::SubscriptionsQuestion;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class Findings final : public server::InquirySink {
  public:
    void found(std::uint64_t cookie, std::optional<Finding> finding) noexcept override {
        EXPECT_EQ(cookie, 7U);
        ++told;
        last = std::move(finding);
    }
    int told = 0;
    std::optional<Finding> last;
};

/// All texts are shorter than 100 bytes.
std::string text(std::string_view from) {
    return std::string{'\0', static_cast<char>(from.size())}.append(from);
}
std::string packet(char first, const std::string& body) {
    return std::string{first, static_cast<char>(body.size())} + body;
}
/// MQTT 5.0 with a session that lasts an hour, or 3.1.1 with Clean Session 1.
std::string connect(std::string_view client, bool keeps) {
    if (!keeps) return packet('\x10', std::string{"\0\4MQTT\4\2\0\x3C", 10} + text(client));
    return packet('\x10', std::string{"\0\4MQTT\5\0\0\x3C\5\x11\0\0\x0E\x10", 16} + text(client));
}
std::string subscribe(bool is_v5, std::string_view filter, char qos) {
    return packet(
        '\x82', std::string{"\0\1", 2} + (is_v5 ? std::string{"\0", 1} : "") + text(filter) + qos);
}

class InquiriesTest : public testing::TestWithParam<std::uint16_t> {
  public:
    static constexpr int kEnough = 12;  // turns until a commit has been answered

    void SetUp() override {
        log_start({.level = LogLevel::error, .descriptor = -1});
        BrokerOptions options;
        options.seed = 1;
        options.shards = GetParam();
        broker = std::make_unique<Broker>(options, now);
        broker->be_gentle();
    }
    WirePtr client(std::string_view name, bool keeps) {
        auto wire = std::make_shared<Wire>();
        wire->kernel_bytes = std::size_t{1} << 20U;
        broker->accept(0, wire);
        say(*wire, connect(name, keeps));
        run(kEnough);
        return wire;
    }
    static void say(Wire& wire, std::string_view bytes) {
        const ByteView view = as_bytes(bytes);
        wire.up.insert(wire.up.end(), view.begin(), view.end());
    }
    static std::string heard(const Wire& wire) {
        return std::string{as_text({wire.down.data(), wire.down.size()})};
    }
    void turn() {
        for (std::size_t shard = 0; shard < broker->shards(); ++shard) broker->run_shard(shard);
    }
    void run(int turns = 200) {
        for (int i = 0; i < turns; ++i) {
            turn();
            now = saturating_add(now, 1ms);
            broker->run_engine();
        }
    }
    /// So many that have subscribed and gone, and rest.
    void away(int sessions, int filters = 1) {
        for (int i = 0; i < sessions; ++i) {
            const WirePtr wire = client("away" + std::to_string(i), true);
            for (int k = 0; k < filters; ++k) {
                say(*wire, subscribe(true, "f/" + std::to_string(k), '\1'));
                run(kEnough);
            }
            wire->client_closed = true;
        }
        for (int i = 0; i < 40; ++i) {
            run(4);
            now = saturating_add(now, 1s);
        }
        EXPECT_EQ(at_rest(), static_cast<std::size_t>(sessions));
    }
    [[nodiscard]] std::size_t at_rest() const {
        std::size_t all = 0;
        for (std::size_t i = 0; i < broker->shards(); ++i) {
            all += broker->shard(i).sessions_at_rest();
        }
        return all;
    }
    template <class Found>
    Found ask(std::size_t shard, server::Question question) {
        findings.last.reset();
        broker->post(shard, server::Inquiry{std::move(question), server::Asker{findings, 7}});
        broker->run_shard(shard);  // one turn is enough
        EXPECT_TRUE(findings.last);
        return std::get<Found>(*std::move(findings.last));
    }
    /// All pages of a list, and the most that one has looked at.
    template <class Page, class Question>
    std::vector<std::string> all(Question question, auto&& name) {
        std::vector<std::string> names;
        for (std::size_t shard = 0; shard < broker->shards(); ++shard) {
            question.from = {};
            do {
                const Page page = ask<Page>(shard, question);
                EXPECT_FALSE(page.is_stale);
                EXPECT_LE(page.items.size(), question.items_max);
                most_looked_at = std::max(most_looked_at, page.looked_at);
                for (const auto& item : page.items) names.push_back(name(item));
                question.from = page.next;
            } while (!question.from.done);
        }
        std::sort(names.begin(), names.end());
        return names;
    }
    std::vector<std::string> clients(ClientsQuestion question) {
        return all<ClientsPage>(std::move(question), [](const auto& item) {
            return item.client_id + (item.connected ? " here" : "");
        });
    }
    std::vector<std::string> subscriptions(SubscriptionsQuestion question) {
        return all<SubscriptionsPage>(std::move(question), [](const auto& item) {
            return item.client_id + ' ' + item.filter;
        });
    }
    /// Of `client`; on whichever shard it is at home.
    std::optional<server::ClientDetails> details(const std::string& client) {
        std::optional<server::ClientDetails> found;
        for (std::size_t i = 0; i < broker->shards(); ++i) {
            auto here = ask<ClientFound>(i, ClientQuestion{client});
            if (here.details) found = std::move(here.details);
        }
        return found;
    }
    /// What the shards say of it; those that do not know the client say nothing that counts.
    Kicked kick(const std::string& client, bool discards) {
        Kicked all;
        for (std::size_t i = 0; i < broker->shards(); ++i) {
            findings.last.reset();
            broker->post(i,
                         server::Kick{.client_id = client,
                                      .discard_session = discards,
                                      .asker = server::Asker{findings, 7}});
            broker->run_shard(i);
            if (discards && !findings.last) run();
            if (!findings.last) {
                ADD_FAILURE() << "no answer";
                continue;
            }
            const auto here = std::get<Kicked>(*findings.last);
            if (here.has_session) all = here;
        }
        return all;
    }

    Findings findings;
    std::size_t most_looked_at = 0;
    Instant now{1000s};
    std::unique_ptr<Broker> broker;
};

TEST_P(InquiriesTest, ListsAreCompleteAndWakeNobody) {
    away(30);
    const WirePtr here = client("here", false);
    const std::size_t resting = at_rest();
    for (const std::size_t items : {1U, 7U, 100U}) {
        const auto names = clients({.items_max = items});
        EXPECT_EQ(names.size(), 31U);
        EXPECT_EQ(std::set(names.begin(), names.end()).size(), 31U);
    }
    EXPECT_EQ(clients({.connected = true}), std::vector<std::string>{"here here"});
    EXPECT_EQ(clients({.connected = false}).size(), 30U);
    EXPECT_EQ(clients({.prefix = "away1"}).size(), 11U);
    EXPECT_EQ(clients({.user = ""}).size(), 31U);
    EXPECT_TRUE(clients({.user = "anna"}).empty());
    EXPECT_TRUE(details("away3"));
    EXPECT_FALSE(details("nobody"));
    EXPECT_EQ(subscriptions({}).size(), 30U);
    EXPECT_EQ(at_rest(), resting);
}

TEST_P(InquiriesTest, ASliceIsBoundedHoweverManySessionsThereAre) {
    away(2600);
    most_looked_at = 0;
    EXPECT_EQ(clients({.items_max = 1'000'000}).size(), 2600U);
    EXPECT_LE(most_looked_at, server::kInquirySlotsMax);
    EXPECT_TRUE(clients({.prefix = "none"}).empty());
    EXPECT_LE(most_looked_at, server::kInquirySlotsMax) << "also when nobody is found";
    EXPECT_EQ(subscriptions({.items_max = 1'000'000}).size(), 2600U);
    EXPECT_LE(most_looked_at, server::kInquirySubscriptionsMax);
}

TEST_P(InquiriesTest, SubscriptionsGoOnInTheMiddleOfASession) {
    away(3, 20);
    const WirePtr here = client("here", false);
    for (int i = 0; i < 20; ++i) say(*here, subscribe(false, "f/" + std::to_string(i), '\0'));
    run();
    for (const std::size_t items : {1U, 3U, 7U, 1000U}) {
        const auto all = subscriptions({.items_max = items});
        EXPECT_EQ(all.size(), 80U);
        EXPECT_EQ(std::set(all.begin(), all.end()).size(), 80U);
    }
    EXPECT_EQ(subscriptions({.filter = "f/7"}).size(), 4U);
    EXPECT_EQ(subscriptions({.topic = "f/7"}).size(), 4U);
    EXPECT_TRUE(subscriptions({.topic = "g"}).empty());
    // One session's: on its home's shard.
    std::size_t found = 0;
    for (std::size_t shard = 0; shard < broker->shards(); ++shard) {
        SubscriptionsQuestion question{.items_max = 6, .client_id = "away1"};
        for (int pages = 0; pages < 10 && !question.from.done; ++pages) {
            const auto page = ask<SubscriptionsPage>(shard, question);
            if (!page.is_found) break;
            found += page.items.size();
            question.from = page.next;
        }
    }
    EXPECT_EQ(found, 20U);
}

TEST_P(InquiriesTest, AListThatBeganInAnEarlierLifeIsStale) {
    away(1);
    ListPlace place{.listing = 12'345, .slot = 1};
    EXPECT_TRUE(ask<ClientsPage>(0, ClientsQuestion{.from = place}).is_stale);
    EXPECT_TRUE(ask<SubscriptionsPage>(0, SubscriptionsQuestion{.from = place}).is_stale);
    place = {};
    EXPECT_FALSE(ask<ClientsPage>(0, ClientsQuestion{.from = place}).is_stale);
}

TEST_P(InquiriesTest, SaysWhatIsKnownOfAClient) {
    const WirePtr wire = client("phone", true);
    say(*wire, subscribe(true, "a", '\1'));
    say(*wire, subscribe(true, "b", '\0'));
    run();
    auto found = details("phone");
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->summary.connected);
    EXPECT_TRUE(found->summary.durable);
    EXPECT_EQ(found->summary.version, mqtt::ProtocolVersion::v5);
    EXPECT_EQ(found->summary.subscriptions, 2U);
    EXPECT_EQ(found->subscriptions_kept_for, 1U);
    EXPECT_EQ(found->expiry_seconds, 3600U);
    ASSERT_TRUE(found->connected);
    EXPECT_EQ(found->connected->keep_alive_seconds, 60U);
    EXPECT_FALSE(found->connected->clean_start);
    EXPECT_EQ(found->last_end.code, server::LastEnd::kUnknown);
    wire->client_closed = true;
    run();
    found = details("phone");
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->connected);
    EXPECT_EQ(found->last_end.code, server::LastEnd::kLost);
    EXPECT_EQ(found->expires_at, saturating_add(found->summary.since, 3600s));
}

TEST_P(InquiriesTest, AKickedClientIsToldAndItsSessionStays) {
    const WirePtr wire = client("phone", true);
    wire->down.clear();
    EXPECT_TRUE(kick("phone", false).was_connected);
    EXPECT_TRUE(wire->server_closed);
    EXPECT_TRUE(heard(*wire).starts_with('\xE0'));
    EXPECT_EQ(heard(*wire)[2], '\x98');
    const auto found = details("phone");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->last_end.code, 0x98);
    const Kicked again = kick("phone", false);
    EXPECT_TRUE(again.has_session);
    EXPECT_FALSE(again.was_connected);
    EXPECT_FALSE(kick("nobody", false).has_session);
}

TEST_P(InquiriesTest, ASessionsEndIsInTheLogBeforeItIsTold) {
    away(1);
    findings.last.reset();
    findings.told = 0;
    for (std::size_t i = 0; i < broker->shards(); ++i) {
        broker->post(i,
                     server::Kick{.client_id = "away0",
                                  .discard_session = true,
                                  .asker = server::Asker{findings, 7}});
        broker->run_shard(i);
    }
    EXPECT_EQ(findings.told, static_cast<int>(broker->shards()) - 1) << "its home waits";
    run();
    EXPECT_EQ(findings.told, static_cast<int>(broker->shards()));
    EXPECT_FALSE(details("away0"));
    broker->crash();
    run();
    EXPECT_FALSE(details("away0"));
}

TEST_P(InquiriesTest, WhoAsksAShardThatEndsIsToldNothing) {
    broker->post(0, server::Inquiry{ClientsQuestion{}, server::Asker{findings, 7}});
    broker.reset();
    EXPECT_EQ(findings.told, 1);
    EXPECT_FALSE(findings.last);
}

TEST_P(InquiriesTest, RetainedValuesSaySomebodyWantsThem) {
    const WirePtr wire = client("here", false);
    say(*wire, packet('\x31', text("a") + "x"));
    say(*wire, packet('\x31', text("b") + "y"));
    say(*wire, subscribe(false, "a", '\0'));
    run();
    std::map<std::string, bool> found;
    for (std::size_t shard = 0; shard < broker->shards(); ++shard) {
        const auto page = ask<RetainedFound>(shard, RetainedQuestion{.filter = "#"});
        EXPECT_TRUE(page.cursor.done);
        for (std::size_t i = 0; i < page.values.size(); ++i) {
            found[std::string{page.values[i].message->topic()}] = page.wanted[i];
        }
    }
    EXPECT_EQ(found, (std::map<std::string, bool>{{"a", true}, {"b", false}}));
}

INSTANTIATE_TEST_SUITE_P(Shards, InquiriesTest, testing::Values(1, 3));

}  // namespace
}  // namespace stentor::sim
