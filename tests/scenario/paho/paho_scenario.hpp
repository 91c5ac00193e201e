#pragma once
// What the scenarios with Paho's C++ client have in common: a broker of one, two or five shards,
// spoken to in one protocol version, that must stop with exit code 0.
// The test's thread; Paho has threads of its own (client.hpp).

#include "tests/kit/broker.hpp"
#include "tests/scenario/paho/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace stentor::scenario {

struct Setting {
    int shards = 1;
    int version = MQTTVERSION_5;
};

class PahoScenario : public ::testing::TestWithParam<Setting> {
  protected:
    void TearDown() override {
        EXPECT_EQ(broker.stop(), kit::ExitStatus{.code = 0})
            << broker.process().output(kit::Stream::err);
    }

    [[nodiscard]] static bool is_v5() { return GetParam().version == MQTTVERSION_5; }

    [[nodiscard]] ClientOptions named(const std::string& id) {
        return {.wake_up = &wake_up, .id = id, .version = GetParam().version};
    }
    /// A session that outlives its connections.
    [[nodiscard]] ClientOptions kept(const std::string& id) {
        return {.wake_up = &wake_up,
                .id = id,
                .version = GetParam().version,
                .clean = false,
                .session_expiry_seconds = 3600};
    }

    [[nodiscard]] std::unique_ptr<Client> connected(const ClientOptions& options) {
        auto client = std::make_unique<Client>(broker.port(), options);
        client->connect();
        return client;
    }
    [[nodiscard]] std::unique_ptr<Client> connected(const std::string& id) {
        return connected(named(id));
    }

    kit::Broker broker{{.shards = GetParam().shards}};
    WakeUp wake_up{broker.port()};
};

[[nodiscard]] inline std::string name_of(const ::testing::TestParamInfo<Setting>& info) {
    return (info.param.version == MQTTVERSION_5 ? "v5_shards" : "v311_shards") +
           std::to_string(info.param.shards);
}

}  // namespace stentor::scenario
