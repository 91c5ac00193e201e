// The runner itself, against a broker that says what the test tells it to: it passes what is right
// and fails what is wrong.

#include "tests/conformance/script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::conformance {
namespace {

using testing::HasSubstr;

using Replies = std::deque<std::string>;  // one per send(), in the tables' notation; "CLOSE" closes

// Answers PINGREQ by itself.
class FakeWire final : public Wire {
  public:
    explicit FakeWire(Replies& replies) : replies_{replies} {}

    void send(std::string_view octets) override {
        if (closed_) return;
        if (octets == std::string_view{"\xc0\x00", 2}) {
            ready_ += std::string_view{"\xd0\x00", 2};
            return;
        }
        if (replies_.empty()) return;
        const std::string reply = replies_.front();
        replies_.pop_front();
        if (reply == "CLOSE") {
            closed_ = true;
        } else if (!reply.empty()) {
            ready_ += parse_packet("x " + reply).raw;
        }
    }
    std::optional<Octets> receive() override {
        if (closed_ && ready_.empty()) return std::nullopt;
        return std::exchange(ready_, {});
    }
    void drop() override { closed_ = true; }

  private:
    Replies& replies_;
    Octets ready_;
    bool closed_ = false;
};

class FakeBroker final : public Broker {
  public:
    explicit FakeBroker(Replies replies) : replies_{std::move(replies)} {}
    std::unique_ptr<Wire> connect() override { return std::make_unique<FakeWire>(replies_); }
    bool wait(std::span<Wire* const> /*wires*/) override { return false; }
    void advance(std::chrono::milliseconds by) override { moved += by; }
    void stop() override { stopped = true; }
    std::string log() const override { return {}; }

    std::chrono::milliseconds moved{0};
    bool stopped = false;

  private:
    Replies replies_;
};

std::string outcome(FakeBroker& broker, const std::string& steps, std::string_view table = "v5/t") {
    const auto rows = parse_table(table, "== row | house\n" + steps);
    try {
        Script{rows.at(0), broker}.run();
    } catch (const StepFailed& failed) {
        return failed.what();
    }
    return "passed";
}

std::string outcome(Replies replies, const std::string& steps, std::string_view table = "v5/t") {
    FakeBroker broker{std::move(replies)};
    return outcome(broker, steps, table);
}

constexpr const char* kConnack = "20 { 00 00 { } }";

TEST(ConformanceScript, PassesWhatIsRight) {
    EXPECT_EQ(outcome({kConnack, "90 { 0001 { } 01 }", "40 02 0001", "e0 01 82"},
                      "a= CONNECT\na= SUBSCRIBE f=t q=1\na= PUBLISH t=t q=1\n"
                      "a> CONNECT\na< DISCONNECT rc=0x82\n"),
              "passed");
}

TEST(ConformanceScript, NamesTheLineAndWhatCame) {
    const std::string why = outcome({"20 { 00 87 { } }"}, "\na= CONNECT\n");
    EXPECT_THAT(why, HasSubstr("tests/conformance/v5/t.txt:3: a= CONNECT"));
    EXPECT_THAT(why, HasSubstr("rc differs"));
    EXPECT_THAT(why, HasSubstr("CONNACK sp=0 rc=0x87"));
    EXPECT_THAT(why, HasSubstr("20 03 00 87 00"));
}

TEST(ConformanceScript, SilenceFails) {
    EXPECT_THAT(outcome({""}, "a> CONNECT\na< CONNACK\n"), HasSubstr("nothing came"));
    EXPECT_THAT(outcome({kConnack}, "a= CONNECT\na> CONNECT\na. close\n"),
                HasSubstr("nothing came"));
}

TEST(ConformanceScript, CloseMeansNoByteBefore) {
    EXPECT_EQ(outcome({"CLOSE"}, "a> PINGREQ p=x\n").substr(0, 6), "tests/");
    EXPECT_EQ(outcome({"CLOSE"}, "a> x 00 00\na. close\n"), "passed");
    EXPECT_THAT(outcome({kConnack, "e0 01 82"}, "a= CONNECT\na> CONNECT\na. close\n"),
                HasSubstr("not closed"));
    EXPECT_EQ(outcome({"CLOSE"}, "a> CONNECT\na< CONNACK || CLOSE\n"), "passed");
}

TEST(ConformanceScript, NothingCatchesAStrayPacketAlsoAtTheEnd) {
    const Replies replies{kConnack, "30 { \"t\" { } 'x' }"};
    EXPECT_THAT(outcome(replies, "a= CONNECT\na> PUBLISH t=t\na. nothing\n"),
                HasSubstr("something came"));
    EXPECT_THAT(outcome(replies, "a= CONNECT\na> PUBLISH t=t\n"),
                HasSubstr("at the end of the row"));
}

TEST(ConformanceScript, ChecksEveryPacketAgainstWhatTheClientAnnounced) {
    EXPECT_THAT(outcome({"20 { 00 00 { 26 \"k\" \"v\" } }"}, "a= CONNECT maximum_packet=10\n"),
                HasSubstr("Maximum Packet Size"));
    EXPECT_THAT(outcome({"20 { 00 00 { } } 32 { \"t\" 0001 { } } 32 { \"t\" 0002 { } }"},
                        "a= CONNECT receive_maximum=1\n"),
                HasSubstr("Receive Maximum"));
    EXPECT_THAT(
        outcome({"20 { 00 00 { } } 32 { \"t\" 0001 { } } 34 { \"t\" 0001 { } }"}, "a= CONNECT\n"),
        HasSubstr("an identifier in use"));
    EXPECT_THAT(outcome({"20 { 00 00 { } } 30 { \"t\" { 23 0002 } }"},
                        "a= CONNECT topic_alias_maximum=1\n"),
                HasSubstr("Topic Alias Maximum"));
    EXPECT_THAT(
        outcome({"20 { 00 00 { } } 30 { \"\" { 23 0001 } }"}, "a= CONNECT topic_alias_maximum=1\n"),
        HasSubstr("an unknown alias"));
    for (const char* const told : {R"(1f "r")", R"(26 "k" "v")"}) {
        const Replies replies{kConnack, "40 { 0001 10 { " + std::string{told} + " } }"};
        const std::string publish = "a> PUBLISH t=t q=1\na< PUBACK rc=0x10\n";
        EXPECT_THAT(outcome(replies, "a= CONNECT request_problem=0\n" + publish),
                    HasSubstr("reasons for a client that wants none"));
        EXPECT_EQ(outcome(replies, "a= CONNECT\n" + publish), "passed");
    }
    EXPECT_EQ(
        outcome(
            {"20 { 00 00 { 1f \"r\" } } 30 { \"t\" { 26 \"k\" \"v\" } } e0 { 00 { 1f \"r\" } }"},
            "a= CONNECT request_problem=0\n"
            "a< PUBLISH t=t user_property=k:v\na< DISCONNECT\n"),
        "passed");
    EXPECT_THAT(outcome({"e0 00"}, "a> CONNECT\n a< DISCONNECT\n"), HasSubstr("before CONNACK"));
    EXPECT_THAT(outcome({"20 { 00 00 { } } 20 { 00 00 { } }"}, "a= CONNECT\n"),
                HasSubstr("a second CONNACK"));
}

TEST(ConformanceScript, ResolvesAliases) {
    EXPECT_EQ(outcome({"20 { 00 00 { } } 30 { \"t\" { 23 0001 } } 30 { \"\" { 23 0001 } 'x' }"},
                      "a= CONNECT topic_alias_maximum=1\n"
                      "a< PUBLISH t=t\na< PUBLISH t=t p=x\n"),
              "passed");
}

TEST(ConformanceScript, AnAcknowledgedIdentifierIsFreeAgain) {
    EXPECT_EQ(
        outcome({"20 { 00 00 { } } 32 { \"t\" 0001 { } }", "32 { \"t\" 0001 { } 'y' }"},
                "a= CONNECT receive_maximum=1\n"
                "a< PUBLISH t=t q=1 pid=$m\na> PUBACK pid=$m\na< PUBLISH t=t p=y q=1 pid=$m\n"),
        "passed");
}

TEST(ConformanceScript, FinishesAQos2DeliveryAmongOtherMessages) {
    EXPECT_EQ(outcome({"20 { 00 00 { } } 34 { \"t\" 0005 { } } 30 { \"u\" { } }", "62 02 0005", ""},
                      "a= CONNECT\na<= PUBLISH t=t q=2\na< PUBLISH t=u\n"),
              "passed");
}

TEST(ConformanceScript, OneOfSeveralAndAnyOrder) {
    EXPECT_EQ(outcome({kConnack, kConnack, "30 { \"t\" { } }"},
                      "a= CONNECT\nb= CONNECT\nb> PUBLISH t=t\na|b< PUBLISH t=t\n"),
              "passed");
    EXPECT_EQ(outcome({kConnack, "30 { \"t\" { } } 40 02 0001"},
                      "a= CONNECT\na> PUBLISH t=t q=1\na<~ PUBACK ;; PUBLISH t=t\n"),
              "passed");
    EXPECT_THAT(outcome({kConnack, "30 { \"t\" { } } 40 02 0002"},
                        "a= CONNECT\na> PUBLISH t=t q=1\na<~ PUBACK ;; PUBLISH t=t\n"),
                HasSubstr("none of PUBACK"));
}

TEST(ConformanceScript, SpeaksTheVersionOfTheConnect) {
    EXPECT_EQ(outcome({"20 02 00 00", "90 { 0001 01 }"}, "a= CONNECT v=4\na= SUBSCRIBE f=t q=1\n"),
              "passed");
    EXPECT_EQ(outcome({"20 02 00 00", "b0 02 0001"}, "a= CONNECT\na= UNSUBSCRIBE f=t\n", "v311/t"),
              "passed");
}

TEST(ConformanceScript, MovesTheClockAndStops) {
    FakeBroker broker{{}};
    EXPECT_EQ(outcome(broker, "+90s\n+2m\nserver stop\n"), "passed");
    EXPECT_EQ(broker.moved, std::chrono::seconds{210});
    EXPECT_TRUE(broker.stopped);
}

}  // namespace
}  // namespace stentor::conformance
