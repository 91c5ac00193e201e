#include "tests/kit/process.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <system_error>

namespace stentor::kit {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST(Process, HandsBackOutputAndExitCode) {
    const auto done = run({"sh", "-c", "cat; echo problem >&2; exit 3"}, "input");
    EXPECT_EQ(done.status, (ExitStatus{.code = 3}));
    EXPECT_EQ(done.out, "input");
    EXPECT_EQ(done.err, "problem\n");
}

TEST(Process, WaitsForALineAndRemembersWhereItWas) {
    Process child{{"sh", "-c", "echo one; echo two; read x; echo three $x"}};
    EXPECT_EQ(child.wait_for_line(Stream::out, "o"), "one");
    EXPECT_EQ(child.wait_for_line(Stream::out, "o"), "two");
    EXPECT_TRUE(child.write("go\n"));
    EXPECT_EQ(child.wait_for_line(Stream::out, "three"), "three go");
    EXPECT_EQ(child.wait().code, 0);
    EXPECT_FALSE(child.running());
}

TEST(Process, ALastLineWithoutLineEndCounts) {
    Process child{{"sh", "-c", "printf unfinished"}};
    EXPECT_EQ(child.wait_for_line(Stream::out, "fin"), "unfinished");
}

TEST(Process, ReportsWhatWasSaidWhenALineNeverComes) {
    Process child{{"sh", "-c", "echo something else; exec cat"}};
    child.wait_for_line(Stream::out, "something");
    try {
        child.wait_for_line(Stream::out, "ready", 1ms);
        FAIL() << "a line that is not there was found";
    } catch (const Timeout& timeout) {
        EXPECT_THAT(timeout.what(), HasSubstr("\"ready\""));
        EXPECT_THAT(timeout.what(), HasSubstr("something else"));
        EXPECT_THAT(timeout.what(), HasSubstr("exec cat"));
    }
}

TEST(Process, GivesUpAtOnceWhenTheStreamEnds) {
    Process child{{"true"}};
    EXPECT_THROW(child.wait_for_line(Stream::out, "ready", 1h), Timeout);
}

TEST(Process, NamesTheSignalThatEndedIt) {
    Process child{{"cat"}};
    EXPECT_TRUE(child.running());
    EXPECT_THROW(child.wait(1ms), Timeout);
    EXPECT_TRUE(child.terminate());
    EXPECT_EQ(child.wait(), (ExitStatus{.code = -1, .signal = SIGTERM}));
    EXPECT_FALSE(child.kill());
}

TEST(Process, ATalkativeChildIsNeverBlocked) {
    Process child{{"sh", "-c", "head -c 3000000 /dev/zero; echo done >&2; exec cat"}};
    child.wait_for_line(Stream::err, "done");
    child.close_stdin();
    EXPECT_EQ(child.wait().code, 0);
    EXPECT_EQ(child.output(Stream::out).size(), 3'000'000U);
}

TEST(Process, WriteTellsThatNobodyReads) {
    Process child{{"sh", "-c", "exec <&-; echo closed; sleep 60"}};
    child.wait_for_line(Stream::out, "closed");
    EXPECT_FALSE(child.write("x"));
}

TEST(Process, SaysWhyAProgramCannotBeStarted) {
    EXPECT_THROW(Process({"/nonexistent/program"}), std::system_error);
    EXPECT_THROW(Process({"true"}, {.working_directory = "/nonexistent"}), std::system_error);
}

TEST(Process, EnvironmentAndDirectoryReachTheChild) {
    const TempDir dir;
    const auto done =
        run({"sh", "-c", "echo $KIT_WORD; pwd"},
            "",
            {.environment = {"KIT_WORD=hello"}, .working_directory = dir.path().string()});
    EXPECT_EQ(done.out, "hello\n" + std::filesystem::canonical(dir.path()).string() + "\n");
}

TEST(Process, TheDestructorKillsTheChild) {
    pid_t pid = 0;
    {
        const Process child{{"sleep", "3600"}};
        pid = child.pid();
    }
    EXPECT_NE(::kill(pid, 0), 0);
}

TEST(Process, TheDestructorDoesNotWaitForGrandchildren) {
    Process child{{"sh", "-c", "sleep 5 & exec cat"}};
    EXPECT_TRUE(child.running());
}

TEST(TempDir, GoesWithItsContent) {
    std::filesystem::path path;
    {
        const TempDir dir;
        path = dir.path();
        EXPECT_TRUE(std::filesystem::exists(dir.write("a.txt", "content")));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace stentor::kit
