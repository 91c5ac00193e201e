// `stentor pub` and `stentor sub` as a user runs them, against real brokers.

#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"
#include "tests/scenario/pub_sub/broker.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace stentor::scenario {
namespace {

using kit::ExitStatus;
using kit::Finished;
using kit::Process;
using kit::Stream;
using ::testing::HasSubstr;

using Words = std::vector<std::string>;

Words operator+(Words a, const Words& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Words tool(const std::string& name) { return {stentor_program(), name}; }

Finished run_tool(const std::string& name, const Words& options, std::string_view input = "") {
    return kit::run(tool(name) + options, input);
}

/// Started, and subscribed.
Process subscribed(const Words& options) {
    Process sub{tool("sub") + Words{"-d"} + options};
    sub.wait_for_line(Stream::err, "subscribed to");
    return sub;
}

class PubSub : public ::testing::TestWithParam<BrokerKind> {
  protected:
    /// Call first.
    void start(BrokerNeeds needs = {}) { broker = Broker::start(GetParam(), std::move(needs)); }
    [[nodiscard]] Words here() const { return {"-h", "127.0.0.1", "-p", broker->port()}; }

    Finished pub(const Words& options, std::string_view input = "") const {
        return run_tool("pub", here() + options, input);
    }
    void published(const Words& options, std::string_view input = "") const {
        const auto done = pub(options, input);
        EXPECT_EQ(done.status.code, 0) << done.err;
        EXPECT_EQ(done.err, "");
    }

    std::unique_ptr<Broker> broker;
};

INSTANTIATE_TEST_SUITE_P(Broker,
                         PubSub,
                         ::testing::Values(BrokerKind::mosquitto, BrokerKind::stentor),
                         [](const auto& kind) { return to_string(kind.param); });

TEST_P(PubSub, EveryVersionAndQos) {
    start();
    for (const std::string version : {"5", "311"}) {
        for (const std::string qos : {"0", "1", "2"}) {
            SCOPED_TRACE("version " + version + " QoS " + qos);
            auto sub = subscribed(
                here() + Words{"-V", version, "-q", qos, "-t", "a/+", "-C", "1", "-F", "%t %q %p"});
            published({"-V", version, "-q", qos, "-t", "a/b", "-m", "hello"});
            EXPECT_EQ(sub.wait().code, 0);
            EXPECT_EQ(sub.output(Stream::out), "a/b " + qos + " hello\n");
        }
    }
}

TEST_P(PubSub, PayloadsFromEverywhere) {
    start();
    const kit::TempDir dir;
    const std::string binary{"b\0\xff\n", 4};
    const auto file = dir.write("payload", binary);
    auto sub = subscribed(here() + Words{"-t", "a", "-C", "4", "-q", "1", "-F", "%l:%x"});
    published({"-t", "a", "-q", "1", "-f", file});
    published({"-t", "a", "-q", "1", "-s"}, binary);
    published({"-t", "a", "-q", "1", "-n"});
    published({"-t", "a", "-q", "1", "-m", "-5"});
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(Stream::out), "4:6200ff0a\n4:6200ff0a\n0:\n2:2d35\n");
}

TEST_P(PubSub, LinesArriveInOrderAndAllAreAcknowledged) {
    start();
    std::string lines;
    for (int i = 0; i < 5'000; ++i) lines += fmt::format("line {}\n", i);
    lines += "the last one has no line end";
    for (const std::string qos : {"0", "1", "2"}) {
        SCOPED_TRACE("QoS " + qos);
        auto sub = subscribed(here() + Words{"-t", "lines", "-q", qos, "-C", "5001"});
        published({"-t", "lines", "-l", "-q", qos}, lines);
        if (qos == "0") continue;  // a broker may drop what it cannot queue
        EXPECT_EQ(sub.wait().code, 0);
        EXPECT_EQ(sub.output(Stream::out), lines + "\n");
    }
}

TEST_P(PubSub, LinesGoOutAsTheyCome) {
    start();
    auto sub = subscribed(here() + Words{"-t", "a"});
    Process pub{tool("pub") + here() + Words{"-t", "a", "-l"}};
    pub.write("one\n");
    sub.wait_for_line(Stream::out, "one");
    pub.write("\ntwo");
    pub.close_stdin();
    EXPECT_EQ(pub.wait().code, 0);
    EXPECT_EQ(sub.wait_for_line(Stream::out, ""), "");
    sub.wait_for_line(Stream::out, "two");
}

TEST_P(PubSub, RepeatAndJson) {
    start();
    auto sub = subscribed(here() + Words{"-t", "a", "-C", "3"});
    const auto done =
        pub({"-t", "a", "-m", "x", "-q", "1", "--repeat", "3", "--repeat-delay", "0.01", "--json"});
    EXPECT_EQ(done.status.code, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr(R"({"topic":"a","qos":1,"retain":0,"mid":)"));
    EXPECT_THAT(done.out, HasSubstr(R"("reason_code":0,"reason":"success"})"));
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(Stream::out), "x\nx\nx\n");
}

TEST_P(PubSub, RetainedMessages) {
    start();
    published({"-t", "r/1", "-m", "one", "-r", "-q", "1"});
    published({"-t", "r/2", "-m", "two", "-r", "-q", "1"});
    auto fresh = subscribed(here() + Words{"-t", "r/#", "-R", "-v", "-C", "1"});
    auto stale = subscribed(here() + Words{"-t", "r/#", "--retained-only", "-v"});
    stale.wait_for_line(Stream::out, "r/1 one");
    stale.wait_for_line(Stream::out, "r/2 two");
    published({"-t", "r/3", "-m", "live", "-q", "1"});
    EXPECT_EQ(stale.wait().code, 0);
    EXPECT_EQ(fresh.wait().code, 0);
    EXPECT_EQ(fresh.output(Stream::out), "r/3 live\n");

    auto remover =
        subscribed(here() + Words{"-t", "r/#", "-T", "r/2", "--remove-retained", "-v", "-C", "1"});
    EXPECT_EQ(remover.wait().code, 0);
    EXPECT_EQ(remover.output(Stream::out), "r/1 one\n");
    auto left = subscribed(here() + Words{"-t", "r/#", "--retained-only", "-v"});
    left.wait_for_line(Stream::out, "r/2 two");  // a live one may come before it
    published({"-t", "r/4", "-m", "live", "-q", "1"});
    EXPECT_EQ(left.wait().code, 0);
    EXPECT_EQ(left.output(Stream::out), "r/2 two\n");
}

TEST_P(PubSub, TimeoutEndsWith27) {
    start();
    const auto done = run_tool("sub", here() + Words{"-t", "silent", "-W", "0.1"});
    EXPECT_EQ(done.status.code, 27);
    EXPECT_THAT(done.err, HasSubstr("timed out"));
}

TEST_P(PubSub, ASessionWaitsForItsClient) {
    start();
    for (const std::string version : {"5", "311"}) {
        SCOPED_TRACE("version " + version);
        const Words session = here() + Words{"-V", version, "-i", "keeper" + version, "-c"};
        const auto made = run_tool("sub", session + Words{"-t", "jobs/#", "-q", "2", "-E"});
        ASSERT_EQ(made.status.code, 0) << made.err;
        for (const std::string job : {"1", "2", "3"}) {
            published({"-t", "jobs/new", "-q", "1", "-m", "job " + job});
        }
        // -C takes exactly as many messages as asked for; the rest stays.
        for (const std::string job : {"1", "2", "3"}) {
            const auto got = run_tool("sub", session + Words{"-t", "jobs/#", "-q", "2", "-C", "1"});
            EXPECT_EQ(got.status.code, 0) << got.err;
            EXPECT_EQ(got.out, "job " + job + "\n");
        }
    }
}

TEST_P(PubSub, PropertiesTravel) {
    start();
    auto sub = subscribed(here() + Words{"-t",
                                         "p",
                                         "-q",
                                         "1",
                                         "-C",
                                         "1",
                                         "-D",
                                         "subscribe",
                                         "subscription-identifier",
                                         "7",
                                         "--json"});
    published({"-t",
               "p",
               "-q",
               "1",
               "-m",
               "x",
               "-D",
               "publish",
               "content-type",
               "text/plain",
               "-D",
               "publish",
               "user-property",
               "k",
               "v1",
               "-D",
               "publish",
               "user-property",
               "k",
               "v2",
               "-D",
               "PUBLISH",
               "response-topic",
               "r",
               "-D",
               "publish",
               "correlation-data",
               "c",
               "-D",
               "connect",
               "user-property",
               "a",
               "b"});
    EXPECT_EQ(sub.wait().code, 0);
    const auto out = sub.output(Stream::out);
    EXPECT_THAT(out, HasSubstr(R"("topic":"p","qos":1,"retain":0,"payloadlen":1)"));
    EXPECT_THAT(out, HasSubstr(R"("content-type":"text/plain")"));
    EXPECT_THAT(out, HasSubstr(R"("user-properties":[["k","v1"],["k","v2"]])"));
    EXPECT_THAT(out, HasSubstr(R"("response-topic":"r")"));
    EXPECT_THAT(out, HasSubstr(R"("correlation-data":"c")"));
    EXPECT_THAT(out, HasSubstr(R"("subscription-identifiers":[7])"));
    EXPECT_THAT(out, HasSubstr(R"("payload":"x")"));
}

TEST_P(PubSub, FiltersAndUnsubscribes) {
    start();
    auto sub = subscribed(here() + Words{"-t", "f/#", "-T", "f/no/#", "-v", "-C", "2"});
    for (const std::string topic : {"f/1", "f/no", "f/no/x", "f/2"}) {
        published({"-t", topic, "-q", "1", "-m", "x"});
    }
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(Stream::out), "f/1 x\nf/2 x\n");

    const Words session = here() + Words{"-i", "leaver", "-c"};
    EXPECT_EQ(run_tool("sub", session + Words{"-t", "u", "-q", "1", "-E"}).status.code, 0);
    EXPECT_EQ(run_tool("sub", session + Words{"-U", "u", "-E"}).status.code, 0);
    published({"-t", "u", "-q", "1", "-m", "too late"});
    auto other = subscribed(session + Words{"-t", "other", "-C", "1"});
    published({"-t", "other", "-q", "1", "-m", "in time"});
    EXPECT_EQ(other.wait().code, 0);
    EXPECT_EQ(other.output(Stream::out), "in time\n");
}

TEST_P(PubSub, AWillSpeaksOnlyWhenItShould) {
    start();
    auto watcher = subscribed(here() + Words{"-t", "will/+", "-q", "1", "-v"});
    const auto with_will = [&](const std::string& name) {
        return subscribed(here() + Words{"-t",
                                         "x",
                                         "--will-topic",
                                         "will/" + name,
                                         "--will-payload",
                                         "gone",
                                         "--will-qos",
                                         "1"});
    };
    auto polite = with_will("polite");
    EXPECT_TRUE(polite.send_signal(SIGINT));
    EXPECT_EQ(polite.wait(), (ExitStatus{.code = 0}));
    auto killed = with_will("killed");
    EXPECT_TRUE(killed.kill());
    watcher.wait_for_line(Stream::out, "will/killed gone");
    EXPECT_EQ(watcher.output(Stream::out), "will/killed gone\n");
}

TEST_P(PubSub, MosquittosToolsUnderstandOurs) {
    start();
    // Sequences on which the two agree: Mosquitto cuts %p and %x by their width, and does not pad
    // an absent %R.
    const std::string format =
        "%A|%C|%D|%E|%F|%l|%P|%p|%q|%R|%r|%S|%t|%x|%X|%12t|%-12t|%08l|%.3t|%5.2t|%5A|%-5C|%05E|"
        "%3F|%%|@@|\\\\|\\t|@Y";
    auto theirs = kit::Process{{"stdbuf",
                                "-oL",
                                "mosquitto_sub",
                                "-h",
                                "127.0.0.1",
                                "-p",
                                broker->port(),
                                "-V",
                                "5",
                                "-q",
                                "2",
                                "-t",
                                "m/#",
                                "-C",
                                "2",
                                "-d",
                                "-F",
                                format}};
    theirs.wait_for_line(Stream::out, "Subscribed");
    auto ours = subscribed(here() + Words{"-q", "2", "-t", "m/#", "-C", "2", "-F", format});
    published({"-t",
               "m/ours",
               "-q",
               "2",
               "-m",
               "from us",
               "-D",
               "publish",
               "content-type",
               "text/plain",
               "-D",
               "publish",
               "user-property",
               "a",
               "b"});
    const auto sent = kit::run({"mosquitto_pub",
                                "-h",
                                "127.0.0.1",
                                "-p",
                                broker->port(),
                                "-V",
                                "5",
                                "-t",
                                "m/theirs",
                                "-q",
                                "2",
                                "-m",
                                "from them",
                                "-D",
                                "publish",
                                "response-topic",
                                "r/t",
                                "-D",
                                "publish",
                                "payload-format-indicator",
                                "1"});
    EXPECT_EQ(sent.status.code, 0) << sent.err;
    EXPECT_EQ(ours.wait().code, 0);
    EXPECT_EQ(theirs.wait().code, 0);
    // Line by line, because theirs stand among what -d says.
    std::istringstream lines{ours.output(Stream::out)};
    int compared = 0;
    for (std::string line; std::getline(lines, line); ++compared) {
        EXPECT_THAT(theirs.output(Stream::out), HasSubstr("\n" + line + "\n"));
    }
    EXPECT_EQ(compared, 2);
}

TEST_P(PubSub, TheFirstMessageIsTimedAsFinelyAsTheRest) {
    start();
    published({"-t", "a", "-r", "-q", "1", "-m", "kept"});
    std::string digits;
    for (int run = 0; run < 3; ++run) {
        const auto done = run_tool("sub", here() + Words{"-t", "a", "-C", "1", "-F", "%U"});
        EXPECT_EQ(done.status.code, 0) << done.err;
        digits += done.out.substr(done.out.find('.') + 4, 3);  // behind the milliseconds
    }
    EXPECT_NE(digits, "000000000");
}

TEST_P(PubSub, UnixSocket) {
    start({.unix_socket = true});
    auto sub = subscribed({"-L", "unix://" + broker->unix_path(), "-t", "a", "-C", "1"});
    const auto done = run_tool("pub", {"--unix", broker->unix_path(), "-t", "a", "-m", "local"});
    EXPECT_EQ(done.status.code, 0) << done.err;
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(Stream::out), "local\n");
}

TEST_P(PubSub, Passwords) {
    start({.password = "secret"});
    const auto refused = pub({"-t", "a", "-m", "x", "-u", "ann", "-P", "wrong"});
    EXPECT_EQ(refused.status.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("refused: "));
    EXPECT_THAT(refused.err, HasSubstr("(0x8"));
    EXPECT_THAT(refused.err, HasSubstr("-u and -P"));
    published({"-t", "a", "-m", "x", "-u", "ann", "-P", "secret"});
    const auto url =
        run_tool("pub", {"-L", "mqtt://ann:secret@127.0.0.1:" + broker->port() + "/a", "-m", "x"});
    EXPECT_EQ(url.status.code, 0) << url.err;
    const auto old = pub({"-V", "311", "-t", "a", "-m", "x"});
    EXPECT_EQ(old.status.code, 1);
    EXPECT_THAT(old.err, HasSubstr("not authorized (0x87)"));
}

TEST_P(PubSub, SubscriberComesBackAfterARestart) {
    start();
    auto sub = subscribed(here() + Words{"-t", "a", "-v"});
    broker->kill();
    sub.wait_for_line(Stream::err, "next attempt");
    broker->start_again();
    sub.wait_for_line(Stream::err, "subscribed to");
    published({"-t", "a", "-m", "after", "-q", "1"});
    sub.wait_for_line(Stream::out, "a after");
    EXPECT_TRUE(sub.send_signal(SIGTERM));
    EXPECT_EQ(sub.wait(), (ExitStatus{.code = 0}));
}

TEST_P(PubSub, PublisherKeepsWhatTheRestartedBrokerHasNotAcknowledged) {
    start();
    Process pub{tool("pub") + here() + Words{"-t", "a", "-q", "1", "-l", "--json", "-d"}};
    pub.write("before\n");
    pub.wait_for_line(Stream::out, "\"mid\"");
    broker->kill();
    pub.write("in between\n");
    pub.wait_for_line(Stream::err, "next attempt");
    broker->start_again();
    pub.wait_for_line(Stream::out, "\"mid\"");
    pub.close_stdin();
    EXPECT_EQ(pub.wait().code, 0);
}

TEST_P(PubSub, OverTls) {
    start({.tls = true});
    const auto& made = certificates();
    const Words good{"-h", "localhost", "-p", broker->tls_port(), "--cafile", made.ca};
    auto sub = subscribed(good + Words{"-t", "a", "-C", "2"});
    EXPECT_EQ(run_tool("pub", good + Words{"-t", "a", "-m", "1"}).status.code, 0);
    const auto url = fmt::format("mqtts://127.0.0.1:{}/a", broker->tls_port());
    const auto by_address = run_tool("pub", {"-L", url, "--cafile", made.ca, "-m", "2", "-q", "2"});
    EXPECT_EQ(by_address.status.code, 0) << by_address.err;
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(Stream::out), "1\n2\n");

    const auto strange = run_tool("pub", {"-L", url, "--cafile", made.other_ca, "-m", "x"});
    EXPECT_EQ(strange.status.code, 1);
    EXPECT_THAT(strange.err, HasSubstr("is not trusted"));
    EXPECT_THAT(strange.err, HasSubstr("--cafile"));
    EXPECT_EQ(run_tool("pub", {"-L", url, "--insecure", "-m", "x"}).status.code, 0);

    const auto plain = run_tool("pub", here() + Words{"-t", "a", "-m", "x", "--cafile", made.ca});
    EXPECT_EQ(plain.status.code, 1);
    EXPECT_THAT(plain.err, HasSubstr("TLS"));
    const auto wrong_door =
        run_tool("pub", {"-h", "127.0.0.1", "-p", broker->tls_port(), "-t", "a", "-m", "x"});
    EXPECT_EQ(wrong_door.status.code, 1);
    EXPECT_THAT(wrong_door.err, HasSubstr("mqtts://"));
}

TEST_P(PubSub, TheCertificateMustNameTheHost) {
    start({.tls = true, .tls_wrong_name = true});
    const Words options{"-h",
                        "localhost",
                        "-p",
                        broker->tls_port(),
                        "--cafile",
                        certificates().ca,
                        "-t",
                        "a",
                        "-m",
                        "x"};
    const auto refused = run_tool("pub", options);
    EXPECT_EQ(refused.status.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("is not for 'localhost'"));
    EXPECT_EQ(run_tool("pub", options + Words{"--insecure"}).status.code, 0);
}

TEST_P(PubSub, ClientCertificates) {
    start({.tls = true, .tls_client_certificate = true});
    const auto& made = certificates();
    const Words options{
        "-h", "localhost", "-p", broker->tls_port(), "--cafile", made.ca, "-t", "a", "-m", "x"};
    EXPECT_EQ(run_tool("pub", options).status.code, 1);
    const auto done =
        run_tool("pub", options + Words{"--cert", made.client, "--key", made.client_key});
    EXPECT_EQ(done.status.code, 0) << done.err;
}

// Debian's Mosquitto is built without WebSocket.
TEST(PubSubAtStentor, OverWebSocketAndSecureWebSocket) {
    const auto broker = Broker::start(BrokerKind::stentor, {.tls = true, .web_socket = true});
    const auto plain = fmt::format("ws://127.0.0.1:{}/mqtt", broker->port());
    const auto secure = fmt::format("wss://localhost:{}/mqtt", broker->tls_port());
    const Words trust{"--cafile", certificates().ca};
    for (const auto& [url, options] : {std::pair{plain, Words{}}, std::pair{secure, trust}}) {
        SCOPED_TRACE(url);
        const Words there = Words{"-L", url, "-t", "a"} + options;
        auto sub = subscribed(there + Words{"-C", "2", "-q", "2"});
        EXPECT_EQ(run_tool("pub", there + Words{"-q", "2", "-m", "framed"}).status.code, 0);
        const std::string large(300'000, 'x');
        EXPECT_EQ(run_tool("pub", there + Words{"-q", "1", "-s"}, large).status.code, 0);
        EXPECT_EQ(sub.wait().code, 0);
        EXPECT_EQ(sub.output(Stream::out), "framed\n" + large + "\n");
    }
    const auto lost = run_tool("pub", {"-L", plain + "/elsewhere", "-t", "a", "-m", "x"});
    EXPECT_EQ(lost.status.code, 1);
    EXPECT_THAT(lost.err, HasSubstr("answered HTTP 404"));
}

TEST_P(PubSub, AReaderThatGoesEndsTheSubscriber) {
    start();
    const auto program = stentor_program();
    Process shell{
        {"sh",
         "-c",
         program + " sub -h 127.0.0.1 -p " + broker->port() + " -t a -d | head -n 1; echo over"}};
    shell.wait_for_line(Stream::err, "subscribed to");
    published({"-t", "a", "-m", "1", "-q", "1"});
    shell.wait_for_line(Stream::out, "1");
    // The pipe is closed some time after `head` has printed; the next message meets it.
    while (shell.output(Stream::out).find("over") == std::string::npos) {
        published({"-t", "a", "-m", "2", "-q", "1"});
    }
    EXPECT_EQ(shell.wait().code, 0);
}

TEST_P(PubSub, WhatCannotBeWrittenIsNotAcknowledged) {
    start();
    const Words session = here() + Words{"-i", "waits", "-c", "-q", "1", "-t", "a"};
    EXPECT_EQ(run_tool("sub", session + Words{"-E"}).status.code, 0);
    for (const char* line : {"1", "2", "3"}) published({"-t", "a", "-q", "1", "-m", line});
    for (const std::string options : {" -C 1", ""}) {
        std::string command = stentor_program() + " sub";
        for (const std::string& word : session) command += " " + word;
        const auto done = kit::run({"sh", "-c", command + options + " >/dev/full"});
        EXPECT_EQ(done.status.code, 1);
        EXPECT_THAT(done.err, HasSubstr("cannot write: No space left"));
    }
    EXPECT_EQ(run_tool("sub", session + Words{"-C", "3"}).out, "1\n2\n3\n");
}

TEST_P(PubSub, ResultsThatCannotBeWrittenAreAFailure) {
    start();
    std::string command = stentor_program() + " pub --json -q 1 -t a -m x";
    for (const std::string& word : here()) command += " " + word;
    const auto done = kit::run({"sh", "-c", command + " >/dev/full"});
    EXPECT_EQ(done.status.code, 1);
    EXPECT_THAT(done.err, HasSubstr("cannot write: No space left"));
}

/// A topic name of more levels than our broker takes: an offence, so it closes the connection.
std::string too_many_levels() {
    std::string topic = "a";
    for (int level = 1; level < 70; ++level) topic += "/a";
    return topic;
}

TEST(PubSubAtStentor, ARefusedQos0MessageIsAFailure) {
    const auto broker = Broker::start(BrokerKind::stentor, {});
    const Words here{"-h", "127.0.0.1", "-p", broker->port()};
    const auto levels = run_tool("pub", here + Words{"-t", too_many_levels(), "-m", "x"});
    EXPECT_EQ(levels.status.code, 1);
    EXPECT_THAT(levels.err, HasSubstr("topic name invalid (0x90)"));
    const auto lines = run_tool("pub", here + Words{"-t", too_many_levels(), "-l"}, "1\n2\n");
    EXPECT_EQ(lines.status.code, 1);

    // 3.1.1 announces no limit and gives no reason.
    for (const std::size_t bytes : {std::size_t{1'100'000}, std::size_t{20'000'000}}) {
        SCOPED_TRACE(bytes);
        const std::string large(bytes, 'x');
        const auto done = run_tool("pub", here + Words{"-V", "311", "-t", "a", "-s"}, large);
        EXPECT_EQ(done.status.code, 1);
        EXPECT_THAT(done.err, HasSubstr("QoS 0"));
    }
    const auto old = run_tool("pub", here + Words{"-V", "311", "-t", too_many_levels(), "-m", "x"});
    EXPECT_EQ(old.status.code, 1);
}

TEST(PubSubAtStentor, AMessageThatTheBrokerNeverTakesIsGivenUp) {
    // Above the default of limits.packet_bytes_max. 3.1.1 announces none, and the broker can only
    // close; repeating it would bring the same again.
    const auto broker = Broker::start(BrokerKind::stentor, {});
    const std::string large(1'100'000, 'x');
    const auto done =
        run_tool("pub",
                 {"-h", "127.0.0.1", "-p", broker->port(), "-V", "311", "-q", "1", "-t", "a", "-s"},
                 large);
    EXPECT_EQ(done.status.code, 1);
    EXPECT_THAT(done.err, HasSubstr("next attempt in"));
    EXPECT_THAT(done.err, HasSubstr("the broker closes the connection on this message"));
    EXPECT_THAT(done.err, HasSubstr("is it larger than the broker's limit?"));
}

// --- without a broker ---

TEST(PubSubErrors, NobodyListens) {
    const auto port = std::to_string(kit::free_port());
    for (const std::string name : {"pub", "sub"}) {
        const auto done = run_tool(
            name,
            name == "pub" ? Words{"-p", port, "-t", "a", "-m", "x"} : Words{"-p", port, "-t", "a"});
        EXPECT_EQ(done.status.code, 1);
        EXPECT_THAT(done.err, HasSubstr("connection refused"));
        EXPECT_THAT(done.err, HasSubstr("is the broker running there? stentor serve"));
    }
    const auto socket = run_tool("pub", {"--unix", "/nonexistent/sock", "-t", "a", "-m", "x"});
    EXPECT_EQ(socket.status.code, 1);
    EXPECT_THAT(socket.err, HasSubstr("no such socket"));
    const auto quiet = run_tool("pub", {"-p", port, "-t", "a", "-m", "x", "--quiet"});
    EXPECT_EQ(quiet.status.code, 1);
    EXPECT_EQ(quiet.err, "");
}

/// A listener that never accepts: the kernel completes connections as far as `backlog` goes, and
/// nobody answers CONNECT. The port is on its stdout.
Process silent_listener(int backlog) {
    return Process{{"python3",
                    "-uc",
                    "import socket,sys\n"
                    "s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(int(sys.argv[1]))\n"
                    "full=[socket.socket() for _ in range(3)] if sys.argv[1]=='0' else []\n"
                    "for each in full: each.setblocking(False); each.connect_ex(s.getsockname())\n"
                    "print('port', s.getsockname()[1]); sys.stdin.read()",
                    std::to_string(backlog)}};
}

TEST(PubSubErrors, ASilentPeerIsGivenUp) {
    Process silent = silent_listener(5);
    const auto port = silent.wait_for_line(Stream::out, "port ").substr(5);
    const auto done = run_tool(
        "pub", {"-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x", "--connect-timeout", "0.2"});
    EXPECT_EQ(done.status.code, 1);
    EXPECT_THAT(done.err, HasSubstr("does not answer CONNECT"));
}

// As with mosquitto_sub, which counts from the TCP connection on; ours while that is made, too.
TEST(PubSubErrors, TheTimeoutCountsFromTheStart) {
    for (const int backlog : {5, 0}) {  // no CONNACK; no connection
        Process silent = silent_listener(backlog);
        const auto port = silent.wait_for_line(Stream::out, "port ").substr(5);
        const auto done = run_tool(
            "sub",
            {"-h", "127.0.0.1", "-p", port, "-t", "a", "-W", "0.2", "--connect-timeout", "3600"});
        EXPECT_EQ(done.status.code, 27) << done.err;
        EXPECT_THAT(done.err, HasSubstr("timed out"));
    }
}

/// A server that accepts CONNECT, acknowledges a PUBLISH on "a" and answers DISCONNECT with
/// `last_word`, in hex. The port is on its stdout.
Process obstinate(const std::string& last_word) {
    return Process{{"python3",
                    "-uc",
                    "import socket,sys\n"
                    "s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen()\n"
                    "print('port', s.getsockname()[1])\n"
                    "c=s.accept()[0]; f=c.makefile('rb')\n"
                    "while True:\n"
                    " kind=f.read(1)[0]>>4; rest=f.read(f.read(1)[0])\n"
                    " if kind==1: c.sendall(bytes.fromhex('2003000000'))\n"
                    " if kind==3: c.sendall(b'\\x40\\x02'+rest[3:5])\n"
                    " if kind==14: c.sendall(bytes.fromhex(sys.argv[1])); break\n",
                    last_word}};
}

TEST(PubSubErrors, TheServersLastWordCounts) {
    for (const auto& [last_word, code] : {std::pair{"", 0}, std::pair{"e00182", 1}}) {
        SCOPED_TRACE(last_word);
        Process server = obstinate(last_word);
        const auto port = server.wait_for_line(Stream::out, "port ").substr(5);
        const auto done =
            run_tool("pub", {"-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x", "-q", "1"});
        EXPECT_EQ(done.status.code, code);
        EXPECT_THAT(done.err, HasSubstr(code == 0 ? "" : "protocol error (0x82)"));
    }
}

TEST(PubSubErrors, UsageIsExplained) {
    const auto usage = [](const std::string& name, const Words& options) {
        const auto done = run_tool(name, options);
        EXPECT_EQ(done.status.code, 2) << done.err;
        EXPECT_EQ(done.out, "");
        return done.err;
    };
    EXPECT_THAT(usage("pub", {"--topci", "a"}), HasSubstr("did you mean --topic?"));
    EXPECT_THAT(usage("pub", {"--foo"}), HasSubstr("unknown option --foo\n"));
    EXPECT_THAT(usage("pub", {"--foo"}), HasSubstr("--help lists all options"));
    EXPECT_THAT(usage("pub", {"-t", "a"}), HasSubstr("nothing to publish"));
    EXPECT_THAT(usage("pub", {"-m", "a"}), HasSubstr("the topic is missing"));
    EXPECT_THAT(usage("pub", {"-t", "a/#", "-m", "x"}), HasSubstr("'a/#' is not a topic name"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-n"}), HasSubstr("exclude each other"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-m", "y"}), HasSubstr("-m is given twice"));
    EXPECT_THAT(usage("pub", {"-t", "a", "--topic", "b"}), HasSubstr("-t is given twice"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-q", "3"}), HasSubstr("from 0 to 2"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-c"}), HasSubstr("client identifier"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "--will-payload", "w"}),
                HasSubstr("--will-topic"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-D", "publish", "content-typ", "x"}),
                HasSubstr("did you mean content-type?"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-D", "publish", "receive-maximum", "1"}),
                HasSubstr("publish has no property receive-maximum"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "-V", "31"}), HasSubstr("5 or 311"));
    EXPECT_THAT(usage("pub", {"-t", "a", "-m", "x", "--psk", "00"}), HasSubstr("not supported"));
    EXPECT_THAT(usage("sub", {}), HasSubstr("no topic to subscribe to"));
    EXPECT_THAT(usage("sub", {"-t", "a#"}), HasSubstr("'a#' is not a topic filter"));
    EXPECT_THAT(usage("sub", {"-t", "a#"}), HasSubstr("'+' stands for a whole level"));
    for (const std::string shared : {"$share/g", "$share/g/", "$share//a", "$share/+/a"}) {
        EXPECT_THAT(usage("sub", {"-t", shared}),
                    AllOf(HasSubstr("$share/GROUP/FILTER"), Not(HasSubstr("stands for"))))
            << shared;
    }
    EXPECT_THAT(usage("sub", {"-t", "$share/g/a#"}), HasSubstr("'+' stands for a whole level"));
    EXPECT_THAT(usage("sub", {"-t", "a", "-T", "$share/g"}), HasSubstr("$share/GROUP/FILTER"));
    EXPECT_THAT(usage("sub", {"-t", "a", "-U", "$share/g"}), HasSubstr("$share/GROUP/FILTER"));
    EXPECT_THAT(usage("sub", {"-t", "a", "-F", "%y"}), HasSubstr("'%y' means nothing"));
    EXPECT_THAT(usage("sub", {"-t", "a", "-L", "http://x"}), HasSubstr("unknown scheme"));
}

TEST(PubSubErrors, HelpIsOnStdout) {
    for (const std::string name : {"pub", "sub"}) {
        const auto done = run_tool(name, {"--help"});
        EXPECT_EQ(done.status.code, 0);
        EXPECT_THAT(done.out, HasSubstr("Usage: stentor " + name));
        EXPECT_THAT(done.out, HasSubstr("Exit codes:"));
        EXPECT_EQ(done.err, "");
    }
}

TEST(PubSubErrors, FilesAreNamed) {
    const auto done = run_tool("pub", {"-t", "a", "-f", "/nonexistent/file"});
    EXPECT_EQ(done.status.code, 1);
    EXPECT_THAT(done.err, HasSubstr("cannot open '/nonexistent/file': No such file"));
    const auto port = std::to_string(kit::free_port());
    const auto ca = run_tool("pub", {"-p", port, "-t", "a", "-m", "x", "--cafile", "/nonexistent"});
    EXPECT_EQ(ca.status.code, 1);
    EXPECT_THAT(ca.err, HasSubstr("cannot use --cafile '/nonexistent'"));
}

}  // namespace
}  // namespace stentor::scenario
