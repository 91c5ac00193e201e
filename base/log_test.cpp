#include "base/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string>
#include <thread>
#include <vector>

namespace stentor {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

/// Sends log lines into a pipe and gives them back.
class Log : public testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0); }
    void TearDown() override {
        log_start({});
        ::close(pipe_[0]);
        ::close(pipe_[1]);
    }

    void start(LogFormat format, LogLevel level = LogLevel::trace) {
        log_start({.level = level, .format = format, .descriptor = pipe_[1]});
    }

    std::string output() {
        ::fcntl(pipe_[0], F_SETFL, O_NONBLOCK);
        std::string text;
        std::array<char, 65536> buffer{};
        for (;;) {
            const auto got = ::read(pipe_[0], buffer.data(), buffer.size());
            if (got <= 0) return text;
            text.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }

    std::array<int, 2> pipe_{};
};

TEST_F(Log, JsonLineHasTimeLevelEventMessageAndFields) {
    start(LogFormat::json);
    STENTOR_LOG(info,
                LogEvent("ready", {{"port", 1883}, {"name", "n1"}, {"ok", true}, {"share", 0.5}}),
                "started in {} ms",
                7);
    EXPECT_THAT(output(),
                MatchesRegex(R"(\{"ts":"[0-9-]{10}T[0-9:.]{15}Z","level":"info","event":"ready",)"
                             R"("msg":"started in 7 ms","port":1883,"name":"n1","ok":true,)"
                             R"("share":0.5\})"
                             "\n"));
}

TEST_F(Log, TextLineIsForPeople) {
    start(LogFormat::text);
    STENTOR_LOG(warn, LogEvent("refused", {{"client", "a b"}, {"count", 3U}}), "too {}", "many");
    EXPECT_THAT(output(), HasSubstr("warn  refused: too many client=\"a b\" count=3\n"));
}

TEST_F(Log, PipesGetJsonByDefault) {
    start(LogFormat::automatic);
    STENTOR_LOG(error, "failed", "no");
    EXPECT_THAT(output(), HasSubstr(R"("level":"error","event":"failed","msg":"no"})"));
}

TEST_F(Log, BytesOfPeersCannotForgeLines) {
    start(LogFormat::json);
    STENTOR_LOG(info, LogEvent("x", {{"client", "a\"b\\c\n\x1b[2J\xff\xc2\x9b"}}), "{}", "\r\n\"");
    const std::string json = output();
    EXPECT_THAT(json, HasSubstr(R"("msg":"\u000d\n\"")"));
    EXPECT_THAT(json, HasSubstr("\"client\":\"a\\\"b\\\\c\\n\\u001b[2J\xef\xbf\xbd\\u009b\""));
    start(LogFormat::text);
    STENTOR_LOG(info, LogEvent("x", {{"client", "a\nb"}}), "\x1b[31m");
    EXPECT_THAT(output(), HasSubstr("x: \\u001b[31m client=a\\nb\n"));
}

TEST_F(Log, LevelIsChangedWhileRunning) {
    start(LogFormat::json, LogLevel::warn);
    int evaluated = 0;
    STENTOR_LOG(info, "quiet", "{}", ++evaluated);
    EXPECT_EQ(evaluated, 0);
    EXPECT_EQ(output(), "");
    set_log_level(LogLevel::info);
    STENTOR_LOG(info, "loud", "{}", ++evaluated);
    EXPECT_THAT(output(), HasSubstr("loud"));
    EXPECT_TRUE(log_enabled(LogLevel::error));
    EXPECT_FALSE(log_enabled(LogLevel::debug));
}

TEST_F(Log, LongLinesAreCutAndStayValid) {
    start(LogFormat::json);
    const std::string huge(100'000, '\x01');
    STENTOR_LOG(
        info, LogEvent("x", {{"a", huge}, {"b", huge}, {"c", huge}, {"d", huge}}), "{}", huge);
    const std::string line = output();
    EXPECT_LE(line.size(), static_cast<std::size_t>(PIPE_BUF));
    EXPECT_THAT(line, HasSubstr("...\",\"a\":\""));
    EXPECT_TRUE(line.ends_with("...\"}\n"));
}

TEST_F(Log, AReaderThatStoppedStopsNobody) {
    start(LogFormat::json);
    for (int i = 0; i < 5000; ++i) STENTOR_LOG(info, "flood", "{}", std::string(100, 'x'));
    std::string before = output();
    EXPECT_THAT(before, Not(HasSubstr("log_dropped")));
    STENTOR_LOG(info, "after", "reading again");
    const std::string after = output();
    EXPECT_THAT(after, HasSubstr("\"event\":\"log_dropped\""));
    EXPECT_THAT(after, HasSubstr("\"event\":\"after\""));
}

TEST_F(Log, LinesOfSeveralThreadsDoNotMix) {
    start(LogFormat::json);
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([] {
            for (int i = 0; i < 50; ++i) STENTOR_LOG(info, "line", "{}", std::string(50, 'x'));
        });
    }
    for (auto& thread : threads) thread.join();
    const std::string text = output();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 200);
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
        EXPECT_TRUE(std::string_view(text).substr(begin, end - begin).starts_with("{\"ts\":"));
        EXPECT_EQ(text[end - 1], '}');
    }
}

TEST(LogLevelNames, GoBothWays) {
    EXPECT_EQ(to_string(LogLevel::warn), "warn");
    EXPECT_EQ(parse_log_level("debug"), LogLevel::debug);
    EXPECT_FALSE(parse_log_level("verbose").has_value());
}

TEST(LogEvery, CountsWhatItSuppresses) {
    LogEvery every{2, 10s};
    const Instant start{};
    EXPECT_TRUE(every.admit(start));
    EXPECT_TRUE(every.admit(start + 1s));
    EXPECT_FALSE(every.admit(start + 2s));
    EXPECT_FALSE(every.admit(start + 9s));
    const auto pass = every.admit(start + 10s);
    EXPECT_TRUE(pass);
    EXPECT_EQ(pass.suppressed, 2U);
    EXPECT_EQ(every.admit(start + 11s).suppressed, 0U);
}

}  // namespace
}  // namespace stentor
