// The broker as mosquitto_pub, mosquitto_sub and mosquitto_rr see it, from processes that come, go
// and are killed.

#include "tests/kit/broker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace stentor::scenario {
namespace {

using kit::ExitStatus;
using kit::Process;
using kit::Stream;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using Words = std::vector<std::string>;

Words operator+(Words a, const Words& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

struct Setting {
    int shards;
    std::string version;  // for -V
};

class Mosquitto : public ::testing::TestWithParam<Setting> {
  protected:
    void TearDown() override {
        EXPECT_EQ(broker.stop(), ExitStatus{.code = 0}) << broker.process().output(Stream::err);
    }

    [[nodiscard]] static bool is_v5() { return GetParam().version == "5"; }

    /// stdbuf: its lines are wanted when they are written, not when a buffer is full.
    [[nodiscard]] Words command(const std::string& tool, const Words& options) const {
        const std::string port = std::to_string(broker.port());
        return Words{"stdbuf", "-oL", tool, "-h", "127.0.0.1", "-p", port} +
               Words{"-V", GetParam().version} + options;
    }

    void publish(const Words& options, std::string_view input = "") const {
        const auto done = kit::run(command("mosquitto_pub", options), input);
        EXPECT_EQ(done.status, ExitStatus{.code = 0}) << done.out << done.err;
    }

    /// mosquitto_sub, once all of its subscriptions are granted. Messages are printed as "> ...".
    [[nodiscard]] Process subscribed(const Words& options) const {
        Process process = resumed(options);
        process.wait_for_line(Stream::out, "Subscribed");
        return process;
    }

    /// The same, but only for what a session that is kept brings.
    [[nodiscard]] Process resumed(const Words& options) const {
        return Process{command("mosquitto_sub", options + Words{"-d", "-F", "> %t %q %r %p"})};
    }

    /// What a mosquitto_sub with -C has printed when it has ended by itself.
    [[nodiscard]] static Words messages(Process& subscriber) {
        EXPECT_EQ(subscriber.wait(), ExitStatus{.code = 0});
        return printed(subscriber);
    }

    [[nodiscard]] static Words printed(const Process& subscriber) {
        std::istringstream lines{subscriber.output(Stream::out)};
        Words found;
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("> ")) found.push_back(line.substr(2));
        }
        return found;
    }

    /// Options of a session that outlives its connections.
    [[nodiscard]] static Words kept(const std::string& id) {
        return Words{"-i", id, "-c"} + (is_v5() ? Words{"-x", "3600"} : Words{});
    }

    kit::Broker broker{{.shards = GetParam().shards}};
};

INSTANTIATE_TEST_SUITE_P(Tools,
                         Mosquitto,
                         ::testing::Values(Setting{1, "311"},
                                           Setting{2, "311"},
                                           Setting{5, "311"},
                                           Setting{1, "5"},
                                           Setting{2, "5"},
                                           Setting{5, "5"}),
                         [](const auto& each) {
                             return "v" + each.param.version + "_shards" +
                                    std::to_string(each.param.shards);
                         });

TEST_P(Mosquitto, EveryQos) {
    for (const std::string granted : {"0", "1", "2"}) {
        auto subscriber = subscribed({"-t", "a/+", "-q", granted, "-C", "3"});
        for (const std::string sent : {"0", "1", "2"}) {
            publish({"-t", "a/" + sent, "-q", sent, "-m", "x"});
        }
        // Of three clients: in any order.
        EXPECT_THAT(messages(subscriber),
                    UnorderedElementsAre("a/0 0 0 x",
                                         "a/1 " + std::min<std::string>("1", granted) + " 0 x",
                                         "a/2 " + granted + " 0 x"));
    }
}

TEST_P(Mosquitto, ThousandLinesInOrder) {
    std::string lines;
    Words expected;
    for (int i = 0; i < 1000; ++i) {
        lines += std::to_string(i) + '\n';
        expected.push_back("lines 1 0 " + std::to_string(i));
    }
    auto subscriber = subscribed({"-t", "lines", "-q", "1", "-C", "1000"});
    publish({"-t", "lines", "-q", "2", "-l"}, lines);
    EXPECT_EQ(messages(subscriber), expected);
}

TEST_P(Mosquitto, RetainedMessages) {
    publish({"-t", "kept/a", "-r", "-q", "1", "-m", "old"});
    publish({"-t", "kept/a", "-r", "-q", "1", "-m", "new"});
    publish({"-t", "kept/b", "-r", "-q", "1", "-m", "gone"});
    publish({"-t", "kept/b", "-r", "-q", "1", "-n"});
    // Nobody acknowledges QoS 0: what a watcher has seen is there.
    auto watcher = subscribed({"-t", "kept/c", "-C", "1"});
    publish({"-t", "kept/c", "-r", "-q", "0", "-m", "third"});
    EXPECT_THAT(messages(watcher), ElementsAre("kept/c 0 0 third"));
    auto subscriber = subscribed({"-t", "kept/#", "-q", "1", "-C", "2"});
    EXPECT_THAT(messages(subscriber), UnorderedElementsAre("kept/a 1 1 new", "kept/c 0 1 third"));
}

TEST_P(Mosquitto, AKeptSessionCollectsWhileItsClientIsAway) {
    {
        auto first = subscribed(kept("away") + Words{"-t", "a", "-t", "b", "-q", "2"});
        first.terminate();
        first.wait();
    }
    publish({"-t", "a", "-q", "1", "-m", "one"});
    publish({"-t", "b", "-q", "2", "-m", "two"});
    publish({"-t", "c", "-q", "2", "-m", "not subscribed"});
    auto again = resumed(kept("away") + Words{"-t", "a", "-q", "2", "-C", "2"});
    EXPECT_THAT(messages(again), UnorderedElementsAre("a 1 0 one", "b 2 0 two"));
}

// The first one hangs: it is connected, and neither reads nor knows that it has been replaced.
TEST_P(Mosquitto, ASecondClientTakesOverWithWhatWaits) {
    const Words same = kept("same") + Words{"-t", "a", "-q", "1"};
    auto hung = subscribed(same);
    hung.send_signal(SIGSTOP);
    publish({"-t", "a", "-q", "1", "-m", "one"});
    publish({"-t", "a", "-q", "2", "-m", "two"});
    // Not with -C: mosquitto_sub would close with its SUBACK unread, and TCP drop what it has sent.
    auto second = resumed(same);
    int heard = 0;
    second.wait_for_line_if(Stream::out, [&heard](std::string_view line) {
        return (line.starts_with("> ") || line.starts_with("Subscribed")) && ++heard == 3;
    });
    second.terminate();
    second.wait();
    EXPECT_THAT(printed(second), ElementsAre("a 1 0 one", "a 1 0 two"));
    // The session waits for whoever comes next.
    publish({"-t", "a", "-q", "1", "-m", "three"});
    auto third = resumed(same + Words{"-C", "1"});
    EXPECT_THAT(messages(third), ElementsAre("a 1 0 three"));
    hung.kill();
    hung.wait();
    EXPECT_THAT(printed(hung), ElementsAre());
}

TEST_P(Mosquitto, AClientThatIsKilledLeavesItsWillAndKeepsItsSession) {
    auto watcher = subscribed({"-t", "will/#", "-q", "1", "-C", "5"});
    for (int i = 0; i < 5; ++i) {
        const std::string id = std::to_string(i);
        auto mortal = subscribed(kept(id) + Words{"-t",
                                                  "a",
                                                  "-q",
                                                  "1",
                                                  "--will-topic",
                                                  "will/" + id,
                                                  "--will-payload",
                                                  "killed",
                                                  "--will-qos",
                                                  "1"});
        mortal.kill();
        mortal.wait();
    }
    EXPECT_THAT(messages(watcher),
                UnorderedElementsAre("will/0 1 0 killed",
                                     "will/1 1 0 killed",
                                     "will/2 1 0 killed",
                                     "will/3 1 0 killed",
                                     "will/4 1 0 killed"));
    publish({"-t", "a", "-q", "1", "-m", "meanwhile"});
    for (int i = 0; i < 5; ++i) {
        auto again = resumed(kept(std::to_string(i)) + Words{"-t", "a", "-q", "1", "-C", "1"});
        EXPECT_THAT(messages(again), ElementsAre("a 1 0 meanwhile"));
    }
}

TEST_P(Mosquitto, SharedSubscription) {
    std::vector<Process> members;
    for (int i = 0; i < 3; ++i) {
        members.push_back(subscribed({"-t", "$share/g/work", "-q", "1"}));
    }
    std::string lines;
    Words expected;
    for (int i = 0; i < 30; ++i) {
        lines += std::to_string(i) + '\n';
        expected.push_back("work 1 0 " + std::to_string(i));
    }
    publish({"-t", "work", "-q", "1", "-l"}, lines);
    // One after the other, so each has a third, and nobody leaves before all have theirs: what a
    // member has not acknowledged when it goes is others' work.
    Words received;
    for (auto& member : members) {
        int heard = 0;
        member.wait_for_line_if(Stream::out, [&heard](std::string_view line) {
            return line.starts_with("> ") && ++heard == 10;
        });
    }
    for (const auto& member : members) {
        const auto share = printed(member);
        received.insert(received.end(), share.begin(), share.end());
    }
    EXPECT_THAT(received, ::testing::UnorderedElementsAreArray(expected));
}

TEST_P(Mosquitto, RequestAndResponse) {
    auto server = subscribed({"-t", "request", "-q", "1", "-C", "1"});
    Process client{command(
        "mosquitto_rr", {"-t", "request", "-e", "response", "-m", "2+2", "-q", "1", "-W", "20"})};
    EXPECT_THAT(messages(server), ElementsAre("request 1 0 2+2"));
    publish({"-t", "response", "-q", "1", "-m", "4"});
    EXPECT_EQ(client.wait(), ExitStatus{.code = 0});
    EXPECT_EQ(client.output(Stream::out), "4\n");
}

}  // namespace
}  // namespace stentor::scenario
