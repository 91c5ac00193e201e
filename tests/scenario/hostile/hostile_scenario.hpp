#pragma once
// What the scenarios with hostile peers have in common: a broker, and a well-behaved client that
// must not notice what the others do. The broker must end with exit code 0.
// One thread.

#include "tests/kit/broker.hpp"
#include "tests/scenario/hostile/raw_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace stentor::scenario {

inline constexpr std::size_t kMiB = std::size_t{1} << 20U;

class HostileScenario : public ::testing::TestWithParam<int> {
  protected:
    explicit HostileScenario(std::vector<std::string> settings = {})
        : broker{{.shards = GetParam(), .settings = std::move(settings)}} {
        bystander.open({.id = "bystander"});
        bystander.send(subscribe(Version::v5, "bystander/#", 1));
        bystander.receive(9);
    }

    void TearDown() override {
        if (!stopped) expect_undisturbed();
        bystander.close();  // the broker waits a moment for peers to close first
        EXPECT_EQ(broker.stop(), kit::ExitStatus{.code = 0})
            << broker.process().output(kit::Stream::err);
    }

    /// The bystander's own QoS 1 message comes back.
    void expect_undisturbed() {
        bystander.send(publish(Version::v5, "bystander/a", "x", 1, 77));
        bystander.receive(3);
    }

    kit::Broker broker;
    RawClient bystander{broker.port()};
    bool stopped = false;
};

[[nodiscard]] inline std::string shards_of(const ::testing::TestParamInfo<int>& info) {
    return "shards" + std::to_string(info.param);
}

}  // namespace stentor::scenario
