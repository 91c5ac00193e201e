// `stentor bench` against the real broker, and against brokers with faults.

#include "tests/kit/broker.hpp"
#include "tests/kit/process.hpp"
#include "tests/scenario/bench/faulty_broker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor {
namespace {

using kit::Finished;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

Finished bench(std::uint16_t port, Words words) {
    Words command{STENTOR_BINARY, "bench"};
    command.insert(command.end(), words.begin(), words.end());
    for (const char* word : {"--quiet", "--json", "--run", "test", "-p"}) {
        command.emplace_back(word);
    }
    command.push_back(std::to_string(port));
    return kit::run(std::move(command));
}

std::string count(const std::string& name, int number) {
    return '"' + name + "\":" + std::to_string(number) + ',';
}

class Bench : public testing::Test {
  protected:
    Finished run(Words words) { return bench(broker_.port(), std::move(words)); }

    /// Expects a faultless run with that many messages delivered.
    void expect(Words words, int delivered) {
        const Finished done = run(std::move(words));
        EXPECT_EQ(done.status.code, 0) << done.out << done.err;
        EXPECT_EQ(done.err, "");
        EXPECT_THAT(done.out,
                    AllOf(HasSubstr(R"("ok":true,)"),
                          HasSubstr("],\"delivered\":" + std::to_string(delivered) + ","),
                          HasSubstr(R"("lost":0,"doubled":0,"disordered":0,)")));
    }

    kit::Broker broker_{{.shards = 2}};
};

TEST_F(Bench, FansOut) {
    for (const char* qos : {"0", "1", "2"}) {
        expect({"fanout", "-q", qos, "--count", "200", "--subscribers", "20"}, 4000);
        expect({"fanout", "-q", qos, "--count", "50", "--subscribers", "3", "-V", "311"}, 150);
    }
}

TEST_F(Bench, FansIn) {
    for (const char* qos : {"0", "1", "2"}) {
        expect({"fanin", "-q", qos, "--count", "3000", "--subscribers", "2"}, 6000);
        expect({"fanin", "-q", qos, "--count", "1000", "--topics", "30", "--durable"}, 1000);
    }
}

TEST_F(Bench, Pairs) {
    for (const char* qos : {"0", "1", "2"}) {
        expect({"pairs", "--pairs", "30", "-q", qos, "--count", "3000", "--filters", "60"}, 3000);
        expect({"pairs", "--pairs", "5", "-q", qos, "--count", "100", "--durable", "-V", "311"},
               100);
    }
}

TEST_F(Bench, KeepsAScheduleAndMeasuresFromIt) {
    const Finished done =
        run({"pairs", "--pairs", "10", "-q", "1", "--rate", "2000", "--duration", "0.5"});
    EXPECT_EQ(done.status.code, 0) << done.out;
    EXPECT_THAT(done.out, AllOf(HasSubstr(R"("rate":2000,)"), HasSubstr(R"("unsent":0,)")));
    expect({"fanin", "--rate", "5000", "--count", "1000"}, 1000);
}

TEST_F(Bench, PublishesToNobody) {
    const Finished done =
        run({"pub", "--publishers", "3", "--topics", "500", "-q", "1", "--count", "2000"});
    EXPECT_EQ(done.status.code, 0) << done.out;
    EXPECT_THAT(done.out, HasSubstr(count("acknowledged", 2000)));
    const Finished unbound = run({"pub", "--window", "0", "--count", "5000"});
    EXPECT_EQ(unbound.status.code, 0) << unbound.out;
    EXPECT_THAT(unbound.out, HasSubstr(count("published", 5000)));
}

TEST_F(Bench, TwoCommandsAreTheEndsOfOneRun) {
    kit::Process sub{{STENTOR_BINARY,
                      "bench",
                      "sub",
                      "-p",
                      std::to_string(broker_.port()),
                      "--count",
                      "500",
                      "--subscribers",
                      "1",
                      "--run",
                      "test",
                      "--json",
                      "--duration",
                      "20"}};
    // It says on stderr once a second how many clients it has.
    sub.wait_for_line(kit::Stream::err, "1 clients");
    EXPECT_EQ(run({"pub", "--count", "500", "-q", "0"}).status.code, 0);
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_THAT(sub.output(kit::Stream::out), HasSubstr("],\"delivered\":500,\"lost\":0,"));
}

TEST_F(Bench, MessagesWaitForSessionsThatAreAway) {
    expect({"offline", "--sessions", "20", "--messages", "30"}, 600);
    expect({"offline", "--sessions", "20", "--messages", "30", "-q", "2", "-V", "311"}, 600);
    expect({"offline", "--sessions", "20", "--messages", "30", "--broadcast"}, 600);
}

TEST_F(Bench, StoresRetainedValuesAndForgetsThemAgain) {
    for (const char* qos : {"0", "1", "2"}) {
        expect({"retained", "-q", qos, "--topics", "500", "--publishers", "2"}, 500);
    }
    // Nothing is left of the runs above.
    const std::string port = std::to_string(broker_.port());
    kit::Process sub{{STENTOR_BINARY, "sub", "-d", "-p", port, "-t", "#", "--retained-only"}};
    sub.wait_for_line(kit::Stream::err, "subscribed to");
    const Finished live = kit::run({STENTOR_BINARY, "pub", "-p", port, "-t", "live", "-m", "x"});
    EXPECT_EQ(live.status.code, 0) << live.err;
    EXPECT_EQ(sub.wait().code, 0);
    EXPECT_EQ(sub.output(kit::Stream::out), "");
}

TEST_F(Bench, ConnectsAndCutsAndConnectsAgain) {
    const Finished conn =
        run({"conn", "--clients", "200", "--subscriptions", "2", "--sources", "3"});
    EXPECT_EQ(conn.status.code, 0) << conn.out;
    EXPECT_THAT(conn.out, AllOf(HasSubstr(count("connected", 200)), HasSubstr("connect_ms")));
    const Finished rate = run({"conn", "--clients", "50", "--rate", "500", "--hold", "0.1"});
    EXPECT_EQ(rate.status.code, 0) << rate.out;
    for (const char* version : {"5", "311"}) {
        const Finished storm =
            run({"storm", "--clients", "100", "--rounds", "2", "--durable", "-V", version});
        EXPECT_EQ(storm.status.code, 0) << storm.out;
        EXPECT_THAT(storm.out, HasSubstr(R"("name":"storm")"));
    }
}

TEST_F(Bench, WatchesTheBrokersProcessorTimeAndMemory) {
    const Finished done =
        run({"fanin", "--count", "1000", "--broker-pid", std::to_string(broker_.process().pid())});
    EXPECT_EQ(done.status.code, 0) << done.out;
    EXPECT_THAT(
        done.out,
        AllOf(HasSubstr("broker_cpu_us_per_delivery"), HasSubstr("broker_resident_bytes_after")));
}

TEST(BenchFaults, LossByPolicyIsLoss) {
    kit::Broker broker{{.shards = 1,
                        .settings = {"limits.inflight_maximum=1",
                                     "limits.receive_maximum=1000",
                                     "limits.transient_queue_messages_max=10"}}};
    const Finished done = bench(broker.port(),
                                {"fanin",
                                 "--publishers",
                                 "1",
                                 "-q",
                                 "1",
                                 "--window",
                                 "1000",
                                 "--batch",
                                 "1000",
                                 "--count",
                                 "1000",
                                 "--patience",
                                 "0.3"});
    EXPECT_EQ(done.status.code, 1) << done.out;
    EXPECT_THAT(done.out, AllOf(HasSubstr(R"("ok":false)"), Not(HasSubstr(R"("lost":0,)"))));
}

TEST(BenchFaults, AFaultlessBrokerHasNone) {
    const FaultyBroker broker{Fault::none};
    const Finished done = bench(broker.port(), {"fanin", "-q", "1", "--count", "1000"});
    EXPECT_EQ(done.status.code, 0) << done.out;
}

TEST(BenchFaults, EveryFaultIsNoticed) {
    struct Case {
        Fault fault;
        const char* said;
    };
    for (const auto& [fault, said] :
         std::vector<Case>{{Fault::loses, R"("lost":100,"doubled":0,"disordered":0,)"},
                           {Fault::doubles, R"("lost":0,"doubled":100,"disordered":0,)"},
                           {Fault::reorders, R"("doubled":0,"disordered":)"},
                           {Fault::hangs_up, "closed the connection"},
                           {Fault::mumbles, "malformed PUBLISH"},
                           {Fault::refuses, R"("refused":1000)"},
                           {Fault::forgets_id, "had not been sent"}}) {
        const FaultyBroker broker{fault};
        const Finished done = bench(broker.port(),
                                    {"fanin",
                                     "-q",
                                     "1",
                                     "--count",
                                     "1000",
                                     "--publishers",
                                     "2",
                                     "--window",
                                     "500",
                                     "--patience",
                                     "0.3"});
        EXPECT_EQ(done.status.code, 1) << said << done.out;
        EXPECT_THAT(done.out, AllOf(HasSubstr(R"("ok":false)"), HasSubstr(said)));
    }
}

TEST(BenchFaults, NobodyThereIsAFailureAndSomebodyElsesBrokerAMistake) {
    const std::uint16_t nobody = kit::free_port();
    const Finished refused = bench(nobody, {"conn", "--clients", "3", "--patience", "0.3"});
    EXPECT_EQ(refused.status.code, 1) << refused.out;
    EXPECT_THAT(refused.out, HasSubstr("cannot connect"));
    const Finished elsewhere = bench(nobody, {"conn", "-h", "192.0.2.1"});
    EXPECT_EQ(elsewhere.status.code, 2);
    EXPECT_THAT(elsewhere.err, HasSubstr("--i-own-this-broker"));
    EXPECT_EQ(bench(nobody, {"conn", "--frobnicate"}).status.code, 2);
    EXPECT_EQ(bench(nobody, {"conn", "--broker-pid", "4194304"}).status.code, 2);
}

TEST(BenchFaults, AnInterruptEndsItWithAReport) {
    kit::Broker broker;
    kit::Process process{{STENTOR_BINARY,
                          "bench",
                          "fanin",
                          "-p",
                          std::to_string(broker.port()),
                          "--duration",
                          "60",
                          "--json"}};
    process.wait_for_line(kit::Stream::err, "traffic");
    process.terminate();
    EXPECT_EQ(process.wait().code, 1);
    EXPECT_THAT(process.output(kit::Stream::out), HasSubstr(R"("failure":"interrupted")"));
}

}  // namespace
}  // namespace stentor
