#include "tools/bench/bench_options.hpp"

#include "tools/bench/report.hpp"
#include "tools/bench/target.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::bench {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string_view>;

BenchOptions parsed(const Words& words) {
    BenchOptions options;
    std::string help;
    const auto usage = BenchOptions::parse(words, options, help);
    EXPECT_TRUE(usage) << (usage ? "" : usage.error().what);
    EXPECT_EQ(help, "");
    return options;
}

std::string mistake(const Words& words) {
    BenchOptions options;
    std::string help;
    const auto usage = BenchOptions::parse(words, options, help);
    return usage ? "none" : usage.error().what + "; " + usage.error().hint;
}

TEST(BenchOptions, HelpIsThereForEveryWorkload) {
    BenchOptions options;
    std::string help;
    ASSERT_TRUE(BenchOptions::parse(Words{"--help"}, options, help));
    for (const char* workload :
         {"conn", "pub", "sub", "fanout", "fanin", "pairs", "offline", "retained", "storm"}) {
        EXPECT_THAT(help, HasSubstr(std::string{"  "} + workload));
        BenchOptions own;
        std::string own_help;
        ASSERT_TRUE(BenchOptions::parse(Words{workload, "--help"}, own, own_help));
        EXPECT_THAT(own_help, HasSubstr("--i-own-this-broker"));
        EXPECT_THAT(own_help, HasSubstr("Exit codes:"));
    }
}

TEST(BenchOptions, WorkloadsHaveTheirShape) {
    const Plan fanout = parsed({"fanout"}).plan();
    EXPECT_EQ(fanout.publishers, 1U);
    EXPECT_EQ(fanout.subscribers, 1000U);
    EXPECT_EQ(fanout.fan(), 1000U);
    const Plan pairs = parsed({"pairs", "--pairs", "500"}).plan();
    EXPECT_EQ(pairs.publishers, 500U);
    EXPECT_EQ(pairs.topics, 500U);
    EXPECT_EQ(pairs.fan(), 1U);
    const Plan pub = parsed({"pub", "--topics", "1000000"}).plan();
    EXPECT_EQ(pub.clients(), 1U);
    EXPECT_EQ(pub.flows(), 1'000'000U);
    EXPECT_EQ(pub.fan(), 0U);
    const Plan storm = parsed({"storm", "--clients", "7"}).plan();
    EXPECT_EQ(storm.clients(), 7U);
    EXPECT_EQ(storm.filters(0).size(), 2U);
}

TEST(BenchOptions, OfflineSendsToEachSessionOrToAllAtOnce) {
    const BenchOptions own = parsed({"offline", "--sessions", "10", "--messages", "5"});
    EXPECT_EQ(own.traffic().count, 50U);
    EXPECT_EQ(own.plan().fan(), 1U);
    EXPECT_TRUE(own.fleet().durable);
    const BenchOptions all =
        parsed({"offline", "--sessions", "10", "--messages", "5", "--broadcast"});
    EXPECT_EQ(all.traffic().count, 5U);
    EXPECT_EQ(all.plan().fan(), 10U);
    EXPECT_EQ(parsed({"offline", "--sessions", "2", "--publishers", "9"}).plan().publishers, 2U);
}

TEST(BenchOptions, WindowsFollowTheLoop) {
    EXPECT_EQ(parsed({"fanin"}).traffic().window, 32U);
    EXPECT_EQ(parsed({"fanin"}).traffic().batch, 16U);
    EXPECT_EQ(parsed({"fanin", "--rate", "10.5"}).traffic().window, 1024U);
    EXPECT_EQ(parsed({"fanin", "--window", "1"}).traffic().batch, 1U);
    EXPECT_EQ(parsed({"fanin", "--window", "0"}).traffic().window, 0U);
}

TEST(BenchOptions, RefusesWhatCannotBe) {
    EXPECT_THAT(mistake({}), HasSubstr("which workload?"));
    EXPECT_THAT(mistake({"fanuot"}), HasSubstr("did you mean fanout?"));
    EXPECT_THAT(mistake({"fanout", "--subscriber", "1"}), HasSubstr("--subscribers"));
    EXPECT_THAT(mistake({"fanout", "-q", "3"}), HasSubstr("3"));
    EXPECT_THAT(mistake({"fanout", "-q", "1", "--window", "0"}), HasSubstr("QoS 0"));
    EXPECT_THAT(mistake({"fanout", "--size", "23"}), HasSubstr("23"));
    EXPECT_THAT(mistake({"fanout", "-V", "4"}), HasSubstr("5 or 311"));
    EXPECT_THAT(mistake({"offline", "-q", "0"}), HasSubstr("do not wait"));
    EXPECT_THAT(mistake({"offline", "--topics", "2"}), HasSubstr("--broadcast"));
    EXPECT_THAT(mistake({"fanout", "--topics", "1000000"}), HasSubstr("can be checked"));
    EXPECT_THAT(mistake({"fanout", "--run", "a/b"}), HasSubstr("part of topics"));
    EXPECT_FALSE(parsed({"conn", "-h", "x", "-L", "mqtt://y"}).address());
}

TEST(Target, KnowsWhatIsOnThisMachine) {
    const auto local = resolve({.host = "127.0.0.1", .port = 1883});
    ASSERT_TRUE(local);
    EXPECT_TRUE(local->loopback);
    const sockaddr_storage source = local->source(258);
    EXPECT_EQ(ntohl(reinterpret_cast<const sockaddr_in&>(source).sin_addr.s_addr), 0x7F00'0103U);
    const auto remote = resolve({.host = "192.0.2.1"});
    ASSERT_TRUE(remote);
    EXPECT_FALSE(remote->loopback);
    EXPECT_FALSE(remote->has_sources());
    const auto six = resolve({.host = "::1"});
    ASSERT_TRUE(six);
    EXPECT_TRUE(six->loopback);
    EXPECT_EQ(local->security, nullptr);
    const auto secure = resolve({.scheme = tools::Scheme::wss, .host = "127.0.0.1"});
    ASSERT_TRUE(secure);
    EXPECT_NE(secure->security, nullptr);
    EXPECT_TRUE(secure->is_web_socket);
    tools::TlsOptions tls;
    tls.ca_file = "/none";
    EXPECT_FALSE(resolve({.scheme = tools::Scheme::mqtts}, tls));
    EXPECT_TRUE(resolve({.scheme = tools::Scheme::unix_socket, .path = "/tmp/x"})->loopback);
}

TEST(Report, FaultsMakeItFail) {
    Report report;
    EXPECT_TRUE(report.ok());
    report.verdict.disordered = 1;
    EXPECT_FALSE(report.ok());
    const BenchOptions options = parsed({"fanin"});
    EXPECT_THAT(as_text(options, "mqtt://x", report), HasSubstr("FAULTY     0 deliveries"));
    EXPECT_THAT(as_json(options, "mqtt://x", report), HasSubstr(R"("disordered":1,)"));
    report.verdict = {};
    report.unsent = 1;
    EXPECT_FALSE(report.ok());
}

TEST(Report, ShortensNumbers) {
    EXPECT_EQ(short_number(0), "0.00 ");
    EXPECT_EQ(short_number(999), "999 ");
    EXPECT_EQ(short_number(1234), "1.23 k");
    EXPECT_EQ(short_number(25'600'000), "25.6 M");
}

}  // namespace
}  // namespace stentor::bench
