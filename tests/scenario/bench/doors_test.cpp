// `stentor bench` over TLS and WebSocket, against the real broker.

#include "auth/certificate_maker.hpp"
#include "tests/kit/broker.hpp"
#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace stentor {
namespace {

using kit::Finished;
using testing::AllOf;
using testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr std::chrono::hours kLife{24};

/// A broker with a door of each kind; the one behind mqtts:// wants certificates of clients.
class BenchDoors : public testing::Test {
  protected:
    kit::BrokerOptions options() {
        const auto server = *maker_.for_server(std::vector<std::string>{"127.0.0.1"}, kLife);
        const auto client = *maker_.for_client("bench", kLife);
        (void)dir_.write("server.crt", server.certificate);
        (void)dir_.write("server.key", server.key);
        (void)dir_.write("client.crt", client.certificate);
        (void)dir_.write("client.key", client.key);
        (void)dir_.write("ca.crt", maker_.authority().certificate);
        kit::BrokerOptions made{.shards = 2};
        made.arguments = {"--listen",
                          "mqtts://127.0.0.1:0",
                          "--listen",
                          "wss://127.0.0.1:0/mqtt",
                          "--listen",
                          "ws://127.0.0.1:0/push"};
        for (const std::string door : {"listener.1.tls.", "listener.2.tls."}) {
            made.settings.push_back(door + "certificate=" + dir_.file("server.crt"));
            made.settings.push_back(door + "key=" + dir_.file("server.key"));
        }
        made.settings.push_back("listener.1.tls.client_ca=" + dir_.file("ca.crt"));
        made.settings.emplace_back("listener.1.tls.client_certificate=required");
        return made;
    }
    /// Of the next door; they are said in their order.
    std::string listening(const std::string& scheme) {
        const std::string begin = "url=" + scheme + "://127.0.0.1:";
        const std::string line = broker_.process().wait_for_line(kit::Stream::out, begin);
        return line.substr(line.find(begin) + 4);
    }
    [[nodiscard]] std::vector<std::string> urls() const { return {mqtts_, wss_, ws_}; }
    static Finished run(const std::string& url, Words words) {
        Words command{STENTOR_BINARY, "bench"};
        command.insert(command.end(), words.begin(), words.end());
        for (const std::string& word :
             {std::string{"--quiet"}, std::string{"--json"}, std::string{"-L"}, url}) {
            command.push_back(word);
        }
        return kit::run(std::move(command));
    }
    [[nodiscard]] Words with_certificate(Words words) const {
        for (const auto& [option, file] : {std::pair{"--cafile", "ca.crt"},
                                           std::pair{"--cert", "client.crt"},
                                           std::pair{"--key", "client.key"}}) {
            words.emplace_back(option);
            words.push_back(dir_.file(file));
        }
        return words;
    }
    [[nodiscard]] Words for_door(const std::string& url, const Words& words) const {
        const bool tls = url.starts_with("mqtts") || url.starts_with("wss");
        return tls ? with_certificate(words) : words;
    }
    void expect(const std::string& url, const Words& words, int delivered) {
        const Finished done = run(url, for_door(url, words));
        EXPECT_EQ(done.status.code, 0) << url << done.out << done.err;
        EXPECT_THAT(done.out,
                    AllOf(HasSubstr(R"("ok":true,)"),
                          HasSubstr("],\"delivered\":" + std::to_string(delivered) + ","),
                          HasSubstr(R"("lost":0,"doubled":0,"disordered":0,)")));
    }
    static void expect_refused(const std::string& url, const Words& words, const char* why) {
        const Finished done = run(url, words);
        EXPECT_EQ(done.status.code, 1) << done.out;
        EXPECT_THAT(done.out, HasSubstr(why));
    }

    kit::TempDir dir_;
    auth::CertificateMaker maker_ = *auth::CertificateMaker::make("test authority", kLife);
    kit::Broker broker_{options()};
    const std::string mqtts_ = listening("mqtts");
    const std::string wss_ = listening("wss");
    const std::string ws_ = listening("ws");
};

TEST_F(BenchDoors, EveryWorkloadGoesThroughEveryDoor) {
    for (const std::string& url : urls()) {
        expect(url, {"fanout", "-q", "0", "--count", "200", "--subscribers", "20"}, 4000);
        expect(url, {"fanin", "-q", "1", "--count", "2000", "-V", "311"}, 2000);
        expect(url, {"pairs", "--pairs", "10", "-q", "2", "--count", "1000"}, 1000);
        expect(url, {"offline", "--sessions", "20", "--messages", "30"}, 600);
        const Finished storm =
            run(url, for_door(url, {"storm", "--clients", "50", "--rounds", "2"}));
        EXPECT_EQ(storm.status.code, 0) << storm.out << storm.err;
    }
}

/// What one write of the kernel and one record of TLS do not hold.
TEST_F(BenchDoors, LargeMessagesComeInPieces) {
    for (const std::string& url : urls()) {
        expect(url,
               {"fanin",
                "-q",
                "1",
                "-s",
                "60000",
                "--count",
                "500",
                "--publishers",
                "2",
                "--window",
                "8",
                "--subscribers",
                "3"},
               1500);
    }
}

TEST_F(BenchDoors, SaysWhyADoorStaysShut) {
    const Words conn{"conn", "--clients", "3"};
    Words trusting = conn;
    trusting.insert(trusting.end(), {"--cafile", dir_.file("ca.crt")});
    expect_refused(mqtts_, trusting, "certificate");  // it wants one of ours
    expect_refused(wss_, conn, "is not trusted");
    std::string elsewhere = ws_;
    elsewhere.replace(elsewhere.find("/push"), 5, "/pull");
    expect_refused(elsewhere, conn, "HTTP 404");
    const std::string plain = "127.0.0.1:" + std::to_string(broker_.port());
    expect_refused("wss://" + plain + "/mqtt", trusting, "before the handshakes");
}

TEST_F(BenchDoors, RefusesFilesThatAreNone) {
    const Finished done = run(mqtts_, {"conn", "--cafile", dir_.file("none.crt")});
    EXPECT_EQ(done.status.code, 2);
    EXPECT_THAT(done.err, HasSubstr("none.crt"));
    const Finished plain = run(ws_, with_certificate({"conn"}));
    EXPECT_EQ(plain.status.code, 2);
    EXPECT_THAT(plain.err, HasSubstr("without TLS"));
}

}  // namespace
}  // namespace stentor
