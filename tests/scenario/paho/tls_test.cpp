// Paho C++ over TLS, with and without a WebSocket inside, and certificates of clients: who gets in,
// under which name, and what those read in the log who did not.

#include "auth/certificate_maker.hpp"
#include "tests/kit/revocation_list.hpp"
#include "tests/kit/temp_dir.hpp"
#include "tests/scenario/paho/paho_scenario.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::scenario {
namespace {

using auth::CertificateMaker;
using ::testing::ElementsAre;

constexpr std::chrono::hours kLife{24};
constexpr const char* kPath = "/mqtt";

/// A broker with an mqtts:// and a wss:// door, which both demand certificates of clients.
class Tls : public ::testing::TestWithParam<Setting> {
  protected:
    void TearDown() override {
        EXPECT_EQ(broker_.stop(), kit::ExitStatus{.code = 0})
            << broker_.process().output(kit::Stream::err);
    }

    kit::BrokerOptions options() {
        (void)put("phone", *maker_.for_client("phone-7", kLife));
        (void)put("other", *maker_.for_client("other", kLife));
        (void)put("late", *maker_.for_client("late", std::chrono::hours{0}));
        (void)put("stranger", *strangers_.for_client("phone-7", kLife));
        const auto stolen = put("stolen", *maker_.for_client("stolen", kLife));
        (void)put("server", *maker_.for_server(std::vector<std::string>{"localhost"}, kLife));
        (void)dir_.write("ca.crt", maker_.authority().certificate);
        (void)dir_.write("strangers.crt", strangers_.authority().certificate);
        (void)dir_.write("crl.pem", kit::revocation_list(maker_, kLife, {stolen.certificate}));
        kit::BrokerOptions made{.shards = GetParam().shards};
        made.arguments = {"--listen",
                          "mqtts://127.0.0.1:0",
                          "--listen",
                          std::string{"wss://127.0.0.1:0"} + kPath};
        for (const std::string door : {"listener.1.tls.", "listener.2.tls."}) {
            for (const auto& [key, file] : {std::pair{"certificate", "server.crt"},
                                            std::pair{"key", "server.key"},
                                            std::pair{"client_ca", "ca.crt"},
                                            std::pair{"client_crl", "crl.pem"}}) {
                made.settings.push_back(door + key + '=' + dir_.file(file));
            }
            made.settings.push_back(door + "client_certificate=required");
        }
        made.settings.push_back(
            "auth.acl_file=" +
            dir_.write("acl", "topic readwrite $wake\npattern readwrite of/%u/#\n"));
        return made;
    }
    auth::CertificateAndKey put(const std::string& name, const auth::CertificateAndKey& pair) {
        (void)dir_.write(name + ".crt", pair.certificate);
        (void)dir_.write(name + ".key", pair.key);
        return pair;
    }
    std::uint16_t port_behind(std::string_view url) {
        const std::string line = broker_.process().wait_for_line(kit::Stream::out, url);
        return static_cast<std::uint16_t>(std::stoi(line.substr(line.find(url) + url.size())));
    }

    enum class Door { mqtts, wss };

    /// Shows `certificate`, if it has a name.
    [[nodiscard]] ClientOptions with(const std::string& certificate, Door door = Door::mqtts) {
        ClientOptions made{
            .wake_up = &wake_up_, .id = "c-" + certificate, .version = GetParam().version};
        made.tls = ClientTls{.authority = dir_.file("ca.crt")};
        if (!certificate.empty()) {
            made.tls->certificate = dir_.file(certificate + ".crt");
            made.tls->key = dir_.file(certificate + ".key");
        }
        if (door == Door::wss) made.tls->web_path = kPath;
        return made;
    }
    [[nodiscard]] std::uint16_t port(Door door) const {
        return door == Door::mqtts ? mqtts_ : wss_;
    }
    [[nodiscard]] std::unique_ptr<Client> connected(const ClientOptions& options,
                                                    Door door = Door::mqtts) {
        auto client = std::make_unique<Client>(port(door), options);
        client->connect();
        return client;
    }
    void expect_refused(const std::string& certificate, std::string_view why) {
        for (const Door door : {Door::mqtts, Door::wss}) {
            Client client{port(door), with(certificate, door)};
            EXPECT_THROW(client.connect(), mqtt::exception);
            (void)broker_.process().wait_for_line(kit::Stream::err, why);
        }
    }

    kit::TempDir dir_;
    CertificateMaker maker_ = *CertificateMaker::make("test authority", kLife);
    CertificateMaker strangers_ = *CertificateMaker::make("another authority", kLife);
    kit::Broker broker_{options()};
    const std::uint16_t mqtts_ = port_behind("url=mqtts://127.0.0.1:");
    const std::uint16_t wss_ = port_behind("url=wss://127.0.0.1:");
    WakeUp wake_up_{broker_.port()};
};

INSTANTIATE_TEST_SUITE_P(Paho,
                         Tls,
                         ::testing::Values(Setting{1, MQTTVERSION_3_1_1},
                                           Setting{2, MQTTVERSION_3_1_1},
                                           Setting{5, MQTTVERSION_3_1_1},
                                           Setting{1, MQTTVERSION_5},
                                           Setting{2, MQTTVERSION_5},
                                           Setting{5, MQTTVERSION_5}),
                         name_of);

// One of the two is no WebSocket: Paho mixes up what comes on two of them in pieces.
TEST_P(Tls, EveryQosGoesThroughBothDoors) {
    for (const Door door : {Door::mqtts, Door::wss}) {
        const Door other = door == Door::mqtts ? Door::wss : Door::mqtts;
        auto listening = with("phone", other);
        listening.id = "listens";
        const auto subscriber = connected(listening, other);
        subscriber->subscribe("of/phone-7/#", 2);
        const auto publisher = connected(with("phone", door), door);
        for (const int qos : {0, 1, 2}) {
            publisher->publish("of/phone-7/x", std::to_string(qos), qos);
            EXPECT_EQ(text(subscriber->receive()), "of/phone-7/x " + std::to_string(qos));
        }
        // Many records, many frames.
        const std::string large(300'000, 'z');
        publisher->publish("of/phone-7/large", large, 1);
        EXPECT_EQ(subscriber->receive()->get_payload_str(), large);
    }
}

TEST_P(Tls, TheNameInTheCertificateIsTheUser) {
    for (const Door door : {Door::mqtts, Door::wss}) {
        const auto phone = connected(with("phone", door), door);
        const auto other = connected(with("other", door), door);
        EXPECT_EQ(phone->subscribe("of/phone-7/#", 1), 1);
        EXPECT_THROW(other->subscribe("of/phone-7/#", 1), mqtt::exception);
        EXPECT_EQ(other->subscribe("of/other/#", 1), 1);
        phone->publish("of/phone-7/x", "mine", 1);
        EXPECT_EQ(text(phone->receive()), "of/phone-7/x mine");
    }
}

TEST_P(Tls, ASessionComesBackThroughTheOtherDoor) {
    const auto kept = [this](Door door) {
        auto options = with("phone", door);
        options.clean = false;
        options.session_expiry_seconds = 3600;
        return options;
    };
    {
        const auto phone = connected(kept(Door::mqtts));
        phone->subscribe("of/phone-7/#", 2);
    }
    auto sending = with("phone");
    sending.id = "sends";
    const auto publisher = connected(sending);
    for (const char* payload : {"1", "2", "3"}) publisher->publish("of/phone-7/x", payload, 2);
    Client phone{wss_, kept(Door::wss)};
    EXPECT_TRUE(phone.connect());
    EXPECT_THAT(phone.receive(3),
                ElementsAre("of/phone-7/x 1", "of/phone-7/x 2", "of/phone-7/x 3"));
}

TEST_P(Tls, WhoDoesNotKnowTheAuthorityDoesNotComeIn) {
    for (const Door door : {Door::mqtts, Door::wss}) {
        auto options = with("phone", door);
        options.tls->authority = dir_.file("strangers.crt");
        Client client{port(door), options};
        EXPECT_THROW(client.connect(), mqtt::exception);
    }
}

TEST_P(Tls, ACertificateOfAnotherAuthorityIsRefused) {
    expect_refused("stranger", "unable to get local issuer certificate");
}

TEST_P(Tls, ACertificateThatHasEndedIsRefused) {
    expect_refused("late", "certificate has expired");
}

TEST_P(Tls, ARevokedCertificateIsRefused) { expect_refused("stolen", "certificate revoked"); }

TEST_P(Tls, WhoShowsNoCertificateIsRefused) {
    expect_refused("", "peer did not return a certificate");
}

}  // namespace
}  // namespace stentor::scenario
