#include "server/transport/web_socket.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {
namespace {

const std::string kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: keep-alive, "
    "Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n";

std::string text_of(mqtt::WireBuffer& buffer) { return std::string{as_text(buffer.take())}; }

/// A frame as a client sends it.
std::string masked(unsigned first, std::string_view payload, int length_form = 0) {
    std::string frame{static_cast<char>(first)};
    if (length_form == 0) length_form = payload.size() < 126 ? 1 : payload.size() < 65536 ? 2 : 8;
    if (length_form == 1) {
        frame += static_cast<char>(0x80U | payload.size());
    } else {
        frame += static_cast<char>(0x80U | (length_form == 2 ? 126U : 127U));
        for (int i = length_form - 1; i >= 0; --i) {
            frame += static_cast<char>(payload.size() >> (8U * static_cast<unsigned>(i)));
        }
    }
    const std::string mask = "\x37\xfa\x21\x3d";
    frame += mask;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    }
    return frame;
}

class WebSocketTest : public testing::Test {
  protected:
    /// In pieces of `piece` bytes.
    WebSocket::State feed(std::string bytes, std::size_t piece = SIZE_MAX) {
        WebSocket::State state = socket_->state();
        for (std::size_t at = 0; at < bytes.size(); at += std::min(piece, bytes.size() - at)) {
            const std::size_t size = std::min(piece, bytes.size() - at);
            state = socket_->receive(
                std::as_writable_bytes(std::span{bytes.data() + at, size}), clear_, out_);
            if (state == WebSocket::State::ended || state == WebSocket::State::failed) break;
        }
        return state;
    }
    std::string answer() { return text_of(out_); }
    std::string clear() { return std::string{as_text(std::exchange(clear_, {}))}; }
    void anew() { socket_ = std::make_unique<WebSocket>(rules_); }
    void upgrade() {
        ASSERT_EQ(feed(kRequest + "\r\n"), WebSocket::State::open);
        (void)answer();
    }

    WebSocketRules rules_{.path = "/mqtt", .origins = {}};
    std::unique_ptr<WebSocket> socket_ = std::make_unique<WebSocket>(rules_);
    Bytes clear_;
    mqtt::WireBuffer out_;
};

TEST_F(WebSocketTest, UpgradesWithTheKeyOfTheSpecification) {
    EXPECT_EQ(feed(kRequest + "\r\n"), WebSocket::State::open);
    EXPECT_EQ(answer(),
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
              "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
}

TEST_F(WebSocketTest, AnyFragmentationOfEverything) {
    for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
        anew();
        const std::string frames = masked(0x02, "ab") + masked(0x00, "") +
                                   masked(0x89, "are you?") + masked(0x80, "cd") +
                                   masked(0x82, std::string(300, 'x')) + masked(0x82, "e");
        EXPECT_EQ(feed(kRequest + "X-Forwarded-For: 1.2.3.4\r\n\r\n" + frames, piece),
                  WebSocket::State::open);
        EXPECT_EQ(clear(), "abcd" + std::string(300, 'x') + "e");
        EXPECT_EQ(socket_->forwarded_for(), "1.2.3.4");
        const std::string said = answer();
        EXPECT_EQ(said.substr(said.find("\r\n\r\n") + 4),
                  "\x8A\x08"
                  "are you?");
    }
}

TEST_F(WebSocketTest, RefusesWhatIsNoUpgrade) {
    const auto status = [&](std::string request) {
        anew();
        EXPECT_EQ(feed(std::move(request)), WebSocket::State::failed);
        return answer().substr(9, 3);
    };
    const auto without = [&](std::string_view what, std::string_view instead) {
        std::string request = kRequest + "\r\n";
        request.replace(request.find(what), what.size(), instead);
        return status(std::move(request));
    };
    EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"), "404");
    EXPECT_EQ(status("GET /mqtt HTTP/1.1\r\nHost: broker\r\n\r\n"), "426");
    EXPECT_EQ(status("\x10\x0C\r\n\r\n"), "400");
    EXPECT_EQ(without("Version: 13", "Version: 8"), "426");
    EXPECT_EQ(without("GET ", "POST "), "426");
    EXPECT_EQ(without("HTTP/1.1", "HTTP/1.0"), "426");
    EXPECT_EQ(without("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400");
    EXPECT_EQ(without("mqttv3.1, mqtt", "soap"), "400");
    EXPECT_EQ(status("GET /mqtt HTTP/1.1\r\nX: " + std::string(9000, 'x')), "431");
    rules_.origins = {"https://good.example"};
    EXPECT_EQ(status(kRequest + "Origin: https://bad.example\r\n\r\n"), "403");
    anew();
    EXPECT_EQ(feed(kRequest + "Origin: https://good.example\r\n\r\n"), WebSocket::State::open);
}

TEST_F(WebSocketTest, ListsMayStandOnSeveralLines) {
    std::string request = kRequest + "\r\n";
    request.replace(request.find("keep-alive, "), 12, "keep-alive\r\nConnection: ");
    request.replace(request.find("mqttv3.1, "), 10, "soap\r\nSec-WebSocket-Protocol: ");
    EXPECT_EQ(feed(request), WebSocket::State::open);
    EXPECT_NE(answer().find("Sec-WebSocket-Protocol: mqtt\r\n"), std::string::npos);
}

// RFC 6455 4.1: a client fails the connection for a subprotocol that it has not offered.
TEST_F(WebSocketTest, TheSubprotocolIsAnsweredAsItWasWritten) {
    for (const std::string spelled : {"MQTT", "Mqtt", "mqtt"}) {
        anew();
        std::string request = kRequest + "\r\n";
        request.replace(request.find("mqttv3.1, mqtt"), 14, "soap, mqttv3.1, " + spelled);
        EXPECT_EQ(feed(request), WebSocket::State::open);
        EXPECT_NE(answer().find("Sec-WebSocket-Protocol: " + spelled + "\r\n"), std::string::npos);
    }
}

TEST_F(WebSocketTest, SomeFieldsMayStandOnce) {
    rules_.origins = {"https://good.example"};
    for (const std::string twice :
         {"Origin: https://good.example\r\nOrigin: https://bad.example\r\n",
          "Host: other\r\n",
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
          "Sec-WebSocket-Version: 8\r\n"}) {
        anew();
        EXPECT_EQ(feed(kRequest + twice + "\r\n"), WebSocket::State::failed) << twice;
        EXPECT_EQ(answer().substr(9, 3), "400") << twice;
    }
}

TEST_F(WebSocketTest, ClosesOnWhatMustNotCome) {
    struct Wrong {
        std::string frame;
        unsigned code;
    };
    const std::string unmasked{"\x82\x01x", 3};
    const std::vector<Wrong> wrong{{masked(0x81, "text"), 1003},
                                   {unmasked, 1002},
                                   {masked(0xC2, "x"), 1002},
                                   {masked(0x83, "x"), 1002},
                                   {masked(0x8B, "x"), 1002},
                                   {masked(0x80, "x"), 1002},
                                   {masked(0x02, "x") + masked(0x82, "y"), 1002},
                                   {masked(0x09, ""), 1002},
                                   {masked(0x89, std::string(126, 'x')), 1002},
                                   {masked(0x88, "x"), 1002},
                                   {masked(0x82, std::string(125, 'x'), 2), 1002},
                                   {masked(0x82, std::string(65535, 'x'), 8), 1002},
                                   {masked(0x88, "\x03\xED"), 1002},  // 1005
                                   {masked(0x88, "\x03\xE7"), 1002},  // 999
                                   {masked(0x88, "\x03\xF7"), 1002},  // 1015
                                   {masked(0x88, "\x13\x88"), 1002},  // 5000
                                   {masked(0x88, "\x03\xE8\xC3\x28"), 1007},
                                   {masked(0x88, std::string{"\x03\xE8\xC3\0\xA9", 5}), 1007},
                                   {std::string{"\x82\xFF\xFF\0\0\0\0\0\0\0mask", 14}, 1002}};
    for (const auto& [frame, code] : wrong) {
        anew();
        out_.clear();
        upgrade();
        EXPECT_EQ(feed(frame, 1), WebSocket::State::failed) << to_hex(as_bytes(frame));
        const std::string said = answer();
        ASSERT_EQ(said.size(), 4U) << to_hex(as_bytes(frame));
        EXPECT_EQ(static_cast<unsigned char>(said[0]), 0x88U);
        EXPECT_EQ(load_u16(as_bytes(said).subspan(2)), code) << to_hex(as_bytes(frame));
    }
}

TEST_F(WebSocketTest, CloseIsAnsweredOnce) {
    upgrade();
    EXPECT_EQ(feed(masked(0x82, "last") + masked(0x88,
                                                 "\x03\xE8"
                                                 "bye")),
              WebSocket::State::ended);
    EXPECT_EQ(clear(), "last");
    EXPECT_EQ(answer(), "\x88\x02\x03\xE8");
    socket_->finish(out_);
    EXPECT_TRUE(out_.empty());
}

TEST_F(WebSocketTest, OurCloseSaysGoingAway) {
    upgrade();
    socket_->finish(out_);
    socket_->finish(out_);
    EXPECT_EQ(answer(), "\x88\x02\x03\xE9");
}

TEST_F(WebSocketTest, FramesOfEveryLength) {
    for (const std::size_t size : {1U, 125U, 126U, 65535U, 65536U}) {
        mqtt::WireBuffer from;
        from.append(as_bytes(std::string(size + 3, 'y')));
        WebSocket::frame(from, size, out_);
        EXPECT_EQ(from.size(), 3U);
        const std::string frame = answer();
        const std::size_t head = size < 126 ? 2 : size < 65536 ? 4 : 10;
        ASSERT_EQ(frame.size(), head + size);
        EXPECT_EQ(static_cast<unsigned char>(frame[0]), 0x82U);
        EXPECT_EQ(frame.substr(head), std::string(size, 'y'));
    }
}

}  // namespace
}  // namespace stentor::server
