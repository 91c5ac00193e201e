// The broker's own end, and what it is told while it runs: SIGTERM, twice, SIGHUP.

#include "tests/kit/temp_dir.hpp"
#include "tests/scenario/hostile/hostile_scenario.hpp"

#include <csignal>
#include <string>
#include <vector>

namespace stentor::scenario {
namespace {

class End : public HostileScenario {
  protected:
    [[nodiscard]] std::vector<RawClient> clients(std::size_t count, Version version) const {
        std::vector<RawClient> opened;
        for (std::size_t i = 0; i < count; ++i) {
            opened.emplace_back(broker.port());
            const std::string id = version == Version::v5 ? "modern" : "old";
            opened.back().open({.id = id + std::to_string(i), .version = version});
        }
        return opened;
    }

    /// Has asked for everything and reads nothing of the 10 MB that are there.
    [[nodiscard]] RawClient deaf_client() {
        RawClient deaf{broker.port(), {.receive_buffer_bytes = 4096}};
        deaf.open({.id = "deaf"});
        deaf.send(subscribe(Version::v5, "#", 1));
        for (int i = 0; i < 100; ++i) {
            bystander.send(publish(Version::v5, "a", std::string(100'000, 'x'), 1));
            bystander.receive(4);
        }
        return deaf;
    }
};

INSTANTIATE_TEST_SUITE_P(Hostile, End, ::testing::Values(1, 2, 5), shards_of);

TEST_P(End, StopsWithFiveHundredClientsAndTellsThem) {
    stopped = true;
    auto modern = clients(251, Version::v5);
    auto old = clients(249, Version::v311);
    broker.process().terminate();
    // DISCONNECT 0x8B with a Reason String.
    const Octets told = "\xE0\x1B\x8B\x19\x1F" + text("the server is stopping");
    for (RawClient& client : modern) {
        EXPECT_EQ(client.receive_rest(), told);
        client.close();
    }
    for (RawClient& client : old) {
        EXPECT_EQ(client.receive_rest(), "");
        client.close();
    }
    bystander.close();
    EXPECT_EQ(broker.process().wait(std::chrono::seconds{10}), kit::ExitStatus{.code = 0});
}

TEST_P(End, StopsAlthoughAClientDoesNotRead) {
    stopped = true;
    const RawClient deaf = deaf_client();
    broker.process().terminate();
    EXPECT_EQ(broker.process().wait(std::chrono::seconds{10}), kit::ExitStatus{.code = 0});
}

TEST_P(End, TheSecondSignalStopsAtOnce) {
    stopped = true;
    const RawClient deaf = deaf_client();
    broker.process().terminate();
    broker.process().wait_for_line(kit::Stream::err, "draining");
    broker.process().terminate();
    EXPECT_EQ(broker.process().wait(std::chrono::seconds{10}), kit::ExitStatus{.code = 0});
}

TEST_P(End, HangUpReloadsAndDisturbsNobody) {
    auto others = clients(20, Version::v5);
    for (int i = 0; i < 3; ++i) {
        broker.process().send_signal(SIGHUP);
        broker.process().wait_for_line(kit::Stream::err, "reloaded");
    }
    for (RawClient& client : others) client.ping();
}

TEST(Reload, ABadFileKeepsTheOldConfigurationAndSaysWhy) {
    const kit::TempDir dir;
    const auto file = dir.write("stentor.toml", "[logging]\nlevel = \"info\"\n");
    kit::Broker broker{{.arguments = {"-c", file}}};
    RawClient client{broker.port()};
    client.open({.id = "a"});
    dir.write("stentor.toml", "[loging]\nlevel = \"info\"\n");
    broker.process().send_signal(SIGHUP);
    broker.process().wait_for_line(kit::Stream::err, "loging");
    client.ping();
    client.close();
    EXPECT_EQ(broker.stop(), kit::ExitStatus{.code = 0});
}

}  // namespace
}  // namespace stentor::scenario
