// What `stentor serve` does with signals, files and streams, whatever the server behind it does.

#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <string>

namespace stentor {
namespace {

using kit::ExitStatus;
using kit::Process;
using kit::Stream;
using testing::HasSubstr;
using testing::Not;

constexpr ExitStatus kExitOk{.code = 0, .signal = 0};
constexpr ExitStatus kExitFailed{.code = 1, .signal = 0};
constexpr ExitStatus kExitUsage{.code = 2, .signal = 0};

Process serve(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), {STENTOR_BINARY, "serve"});
    return Process{std::move(arguments), {.environment = std::move(environment)}};
}

TEST(Serve, PrintsItsDoorsAndThenReady) {
    Process broker = serve({"--listen", "mqtt://127.0.0.1:7", "--listen", "unix:///tmp/x"});
    EXPECT_EQ(broker.wait_for_line(Stream::out, "listening url="),
              "listening url=mqtt://127.0.0.1:7");
    EXPECT_EQ(broker.wait_for_line(Stream::out, "listening url="), "listening url=unix:///tmp/x");
    EXPECT_EQ(broker.wait_for_line(Stream::out, "ready"), R"({"event":"ready"})");
    EXPECT_THAT(broker.wait_for_line(Stream::err, "listening url="),
                HasSubstr("listening url=mqtt://127.0.0.1:7 "));
    EXPECT_THAT(broker.wait_for_line(Stream::err, R"("event":"ready")"),
                HasSubstr("\"pid\":" + std::to_string(broker.pid())));
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
}

TEST(Serve, PrintsEachDoorOnceWhereStreamsAreOne) {
    Process broker{{"/bin/sh", "-c", "exec \"$0\" serve 2>&1", STENTOR_BINARY}};
    broker.wait_for_line(Stream::out, R"("event":"ready")");
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
    const std::string output = broker.output(Stream::out);
    EXPECT_EQ(output.find("listening url="), output.rfind("listening url=")) << output;
    EXPECT_EQ(output.find("\"ready\""), output.rfind("\"ready\"")) << output;
}

TEST(Serve, PrintsReadyWhereStreamsAreOneAndTheLogIsQuiet) {
    Process broker{
        {"/bin/sh", "-c", "exec \"$0\" serve --set logging.level=warn 2>&1", STENTOR_BINARY}};
    EXPECT_THAT(broker.wait_for_line(Stream::out, "listening url="), HasSubstr("mqtt://"));
    EXPECT_EQ(broker.wait_for_line(Stream::out, "ready"), R"({"event":"ready"})");
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
}

TEST(Serve, SaysThatItRunsWithoutAFile) {
    const kit::TempDir dir;
    Process broker = serve({});
    broker.wait_for_line(Stream::out, "ready");
    EXPECT_THAT(broker.output(Stream::out), testing::StartsWith("listening url="));
    Process configured = serve({"-c", dir.write("stentor.toml", "")});
    configured.wait_for_line(Stream::out, "ready");
    EXPECT_THAT(configured.output(Stream::err), Not(HasSubstr("without a configuration file")));
    // Whoever reads the log line by line has one more event, and nothing that is none.
    EXPECT_THAT(broker.wait_for_line(Stream::err, R"("event":"configuration")"),
                AllOf(HasSubstr("runs without a configuration file"),
                      HasSubstr(R"("clients":"Only this machine can connect)"),
                      HasSubstr(R"("data":"Data is kept in ./stentor-data.")"),
                      HasSubstr("stentor user add users NAME")));
    std::istringstream lines{broker.output(Stream::err)};
    for (std::string line; std::getline(lines, line);) EXPECT_EQ(line.front(), '{') << line;
}

TEST(Serve, SaysItInTheFormatOfTheLog) {
    const std::string text = "logging.format=text";
    Process broker = serve({"--set", text});
    broker.wait_for_line(Stream::out, "ready");
    EXPECT_THAT(broker.wait_for_line(Stream::err, "without a configuration file"),
                HasSubstr("configuration"));
    EXPECT_THAT(broker.output(Stream::err), Not(HasSubstr("+---")));
}

/// `serve` and further words where both streams are a terminal, which script(1) makes.
Process serve_on_terminal(const std::string& further) {
    const std::string command = std::string{"exec "} + STENTOR_BINARY + " serve" + further;
    return Process{{"/usr/bin/script", "-q", "-e", "-f", "-c", command, "/dev/null"}};
}

/// script(1) ends with the broker; asked to end itself it would take its time.
void end_on_terminal(Process& broker) {
    const std::string script = std::to_string(broker.pid());
    pid_t child = 0;
    std::ifstream{"/proc/" + script + "/task/" + script + "/children"} >> child;
    ASSERT_GT(child, 0);
    ::kill(child, SIGTERM);
    EXPECT_EQ(broker.wait(), kExitOk);
}

TEST(Serve, ShowsABoxOnATerminal) {
    for (const bool json : {false, true}) {
        Process broker = serve_on_terminal(json ? " --set logging.format=json" : "");
        broker.wait_for_line(Stream::out, "ready");
        const std::string output = broker.output(Stream::out);
        EXPECT_EQ(output.find("+---") != output.npos, !json) << output;
        EXPECT_EQ(output.find(R"("event":"configuration")") != output.npos, json) << output;
        EXPECT_THAT(output, HasSubstr("runs without a configuration file"));
        end_on_terminal(broker);
    }
}

/// As the README shows it: the log is on the same screen and does not say it a second time.
TEST(Serve, SaysReadyInOneWordOnATerminal) {
    Process broker = serve_on_terminal("");
    broker.wait_for_line(Stream::out, "listening url=");
    EXPECT_EQ(broker.wait_for_line(Stream::out, "ready"), "ready\r");
    end_on_terminal(broker);
    EXPECT_THAT(broker.output(Stream::out), Not(HasSubstr("started in")));
}

TEST(Serve, DrainsAtTermAndAtInt) {
    for (const int signal : {SIGTERM, SIGINT}) {
        Process broker = serve({});
        broker.wait_for_line(Stream::out, "ready");
        broker.send_signal(signal);
        EXPECT_THAT(broker.wait_for_line(Stream::err, R"("event":"stopping")"),
                    HasSubstr(signal == SIGTERM ? R"("signal":"TERM","stop":"drain")"
                                                : R"("signal":"INT","stop":"drain")"));
        broker.wait_for_line(Stream::err, "pretending to drain");
        EXPECT_EQ(broker.wait(), kExitOk);
    }
}

TEST(Serve, StopsAtOnceAtTheSecondSignal) {
    Process broker = serve({}, {"PRETEND_DRAIN_STALLS=1"});
    broker.wait_for_line(Stream::out, "ready");
    broker.terminate();
    broker.wait_for_line(Stream::err, "pretending to drain");
    broker.send_signal(SIGINT);
    EXPECT_THAT(broker.wait_for_line(Stream::err, R"("event":"stopping")"),
                HasSubstr(R"("signal":"INT","stop":"at_once")"));
    broker.wait_for_line(Stream::err, "pretending to stop at once");
    EXPECT_EQ(broker.wait(), kExitOk);
}

TEST(Serve, SaysWhyTheServerGaveUp) {
    Process broker = serve({}, {"PRETEND_FAILURE=1"});
    broker.wait_for_line(Stream::out, "ready");
    broker.send_signal(SIGHUP);
    broker.wait_for_line(Stream::err, "pretended failure");
    EXPECT_EQ(broker.wait(), kExitFailed);
}

TEST(Serve, ReloadsAtHup) {
    const kit::TempDir dir;
    const std::string file = dir.write("stentor.toml", "[node]\nshards = 1\n");
    Process broker = serve({"-c", file});
    broker.wait_for_line(Stream::out, "ready");
    dir.write("stentor.toml",
              "[node]\nshards = 2\n[auth]\nanonymous = \"always\"\n[logging]\nlevel = \"debug\"\n");
    broker.send_signal(SIGHUP);
    // The number of shards is the old one: it waits for the next start, and the log says so.
    broker.wait_for_line(Stream::err, "pretending to reload: anonymous=2 shards=1");
    broker.wait_for_line(Stream::err, R"("event":"reloaded")");
    EXPECT_THAT(broker.wait_for_line(Stream::err, "restart_needed"),
                HasSubstr(R"("keys":"node.shards")"));
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
}

TEST(Serve, KeepsTheOldConfigurationWhenTheNewOneIsBad) {
    const kit::TempDir dir;
    const std::string users = dir.write("users", "");
    const std::string file =
        dir.write("stentor.toml", "[auth]\npassword_file = \"" + users + "\"\n");
    Process broker = serve({"-c", file});
    broker.wait_for_line(Stream::out, "ready");
    dir.write("users", "anna\n");
    broker.send_signal(SIGHUP);
    broker.wait_for_line(Stream::err, "users:1:1: a line is user:hash");
    broker.wait_for_line(Stream::err, "the old configuration stays in force");
    dir.write("stentor.toml", "[auth]\nanonymus = 1\n");
    broker.send_signal(SIGHUP);
    EXPECT_THAT(broker.wait_for_line(Stream::err, "stentor.toml:2:1"),
                HasSubstr("did you mean \\\"anonymous\\\"?"));
    broker.wait_for_line(Stream::err, "the old configuration stays in force");
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
    EXPECT_THAT(broker.output(Stream::err), Not(HasSubstr("pretending to reload")));
}

TEST(Serve, DoesNotStartWithABadConfiguration) {
    const kit::TempDir dir;
    const auto bad_file =
        kit::run({STENTOR_BINARY, "serve", "-c", dir.write("stentor.toml", "[limits]\nx = 1\n")});
    EXPECT_EQ(bad_file.status, kExitUsage);
    EXPECT_THAT(bad_file.err, HasSubstr("stentor.toml:2:1: error: unknown key \"x\" in [limits]"));
    EXPECT_EQ(bad_file.out, "");
    const auto bad_acl = kit::run(
        {STENTOR_BINARY, "serve", "--set", "auth.acl_file=" + dir.write("acl", "topic reed x\n")});
    EXPECT_EQ(bad_acl.status, kExitUsage);
    EXPECT_THAT(bad_acl.err,
                HasSubstr("acl:1:7: error: unknown access \"reed\"\n"
                          "   1 | topic reed x\n"
                          "     |       ^~~~\n"));
}

TEST(Serve, PointsAtCharactersNotBytes) {
    const kit::TempDir dir;
    const auto bad_acl = kit::run({STENTOR_BINARY,
                                   "serve",
                                   "--set",
                                   "auth.acl_file=" + dir.write("acl", "topic read größe/#/x\n")});
    EXPECT_THAT(bad_acl.err,
                HasSubstr("   1 | topic read größe/#/x\n"
                          "     |            ^~~~~~~~~\n"));
}

TEST(Serve, WarnsOfAListenerThatLetsNobodyIn) {
    Process broker = serve({"--listen", "mqtt://0.0.0.0:1"});
    EXPECT_THAT(broker.wait_for_line(Stream::err, "nobody can connect"),
                HasSubstr("auth.password_file"));
    broker.wait_for_line(Stream::out, "ready");
}

TEST(Serve, TakesTheLogLevelAndFormat) {
    const kit::TempDir dir;
    Process broker = serve({"-c",
                            dir.write("stentor.toml", ""),
                            "--set",
                            "logging.format=text",
                            "--set",
                            "logging.level=error"});
    EXPECT_EQ(broker.wait_for_line(Stream::out, "ready"), "ready");
    broker.terminate();
    EXPECT_EQ(broker.wait(), kExitOk);
    EXPECT_EQ(broker.output(Stream::err), "pretending to drain\n");
}

}  // namespace
}  // namespace stentor
