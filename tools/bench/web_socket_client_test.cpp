#include "tools/bench/web_socket_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace stentor::bench {
namespace {

using testing::HasSubstr;

const std::string kWelcome =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

struct Peer {
    WebSocketClient client;
    mqtt::WireBuffer out;

    /// What is MQTT's in `text`.
    std::string hear(const std::string& text) {
        Bytes bytes = to_owned(as_bytes(text));
        const std::size_t clear = client.receive(bytes, out);
        return std::string{as_text(ByteView{bytes}.first(clear))};
    }
    std::string said() {
        const Bytes bytes = out.take();
        return std::string{as_text(bytes)};
    }
    /// The payload of the one frame that was sent, of at most 125 bytes, unmasked; its first byte
    /// in front.
    std::string frame() {
        std::string text = said();
        if (text.size() < 6 || (text[1] & 0x80) == 0) return "no masked frame";
        for (std::size_t i = 6; i < text.size(); ++i)
            text[i] ^= text[2 + i % 4 + (i % 4 < 2 ? 2 : -2)];
        return text.substr(0, 1) + text.substr(6);
    }
};

struct Open : Peer {
    Open() {
        client.begin("localhost:80", "/mqtt", out);
        EXPECT_EQ(hear(kWelcome), "");
        out.clear();
    }
};

TEST(WebSocketClient, AsksForMqtt) {
    Peer peer;
    peer.client.begin("localhost:8083", "/broker", peer.out);
    const std::string request = peer.said();
    EXPECT_THAT(request, HasSubstr("GET /broker HTTP/1.1\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nHost: localhost:8083\r\n"));
    EXPECT_THAT(request, HasSubstr("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    EXPECT_FALSE(peer.client.is_open());
}

TEST(WebSocketClient, TakesAnAnswerInPieces) {
    Peer peer;
    std::string clear;
    for (const char each : kWelcome + std::string{"\x82\x02hi\x82\x01!", 7}) {
        clear += peer.hear(std::string(1, each));
    }
    EXPECT_EQ(clear, "hi!");
    EXPECT_TRUE(peer.client.is_open());
    EXPECT_FALSE(peer.client.has_failed());
}

TEST(WebSocketClient, WhatFollowsTheAnswerIsMqtt) {
    Peer peer;
    EXPECT_EQ(peer.hear(kWelcome + std::string{"\x82\x03one\x82\x00\x02\x02tw\x80\x01o", 14}),
              "onetwo");
}

TEST(WebSocketClient, RefusesOtherAnswers) {
    const auto why = [](const std::string& text) {
        Peer peer;
        EXPECT_EQ(peer.hear(text), "");
        EXPECT_TRUE(peer.client.has_failed()) << text;
        return peer.client.why();
    };
    EXPECT_THAT(why("HTTP/1.1 404 Not Found\r\n\r\n"), HasSubstr("404"));
    EXPECT_THAT(why("\x20\x02\r\n\r\n"), HasSubstr("HTTP"));
    EXPECT_THAT(why(std::string(9000, 'x')), HasSubstr("does not end"));
    std::string other = kWelcome;
    other.replace(other.find("s3p"), 3, "xxx");
    EXPECT_THAT(why(other), HasSubstr("another"));
    other = kWelcome;
    other.replace(other.find(": mqtt"), 6, ": chat");
    EXPECT_THAT(why(other), HasSubstr("MQTT"));
}

TEST(WebSocketClient, TakesFramesOfEverySize) {
    Open peer;
    const std::string middle(300, 'm');
    const std::string large(70'000, 'l');
    EXPECT_EQ(peer.hear(std::string{"\x82\x7e\x01\x2c", 4} + middle), middle);
    std::string head{"\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70", 10};
    EXPECT_EQ(peer.hear(head + large.substr(0, 10)), large.substr(0, 10));
    EXPECT_EQ(peer.hear(large.substr(10) + std::string{"\x82\x01x", 3}), large.substr(10) + "x");
}

TEST(WebSocketClient, MasksWhatItSends) {
    Open peer;
    peer.client.send(as_bytes("hello"), peer.out);
    EXPECT_EQ(peer.frame(), "\x82hello");
    peer.client.send(as_bytes(std::string(300, 'x')), peer.out);
    EXPECT_EQ(peer.said().substr(0, 4), std::string("\x82\xfe\x01\x2c", 4));
    peer.client.send(as_bytes(std::string(70'000, 'x')), peer.out);
    EXPECT_EQ(peer.said().substr(0, 10), std::string("\x82\xff\0\0\0\0\0\x01\x11\x70", 10));
}

TEST(WebSocketClient, AnswersPingAndClose) {
    Open peer;
    EXPECT_EQ(peer.hear(std::string{"\x82\x01", 2}), "");
    EXPECT_EQ(peer.hear("a\x89\x03you"), "a");
    EXPECT_EQ(peer.frame(), "\x8ayou");
    EXPECT_EQ(peer.hear(std::string{"\x88\x02\x03\xe8", 4}), "");
    EXPECT_EQ(peer.frame(), "\x88\x03\xe8");
    peer.client.finish(peer.out);
    EXPECT_EQ(peer.said(), "");  // once
}

TEST(WebSocketClient, RefusesFramesThatMustNotBe) {
    for (const std::string& wrong : {std::string{"\x82\x81\1\2\3\4x", 7},    // masked
                                     std::string{"\x81\x01x", 3},            // text
                                     std::string{"\x89\x7e\x00\x80", 4}}) {  // a long ping
        Open peer;
        EXPECT_EQ(peer.hear(wrong), "");
        EXPECT_TRUE(peer.client.has_failed());
        EXPECT_NE(peer.client.why(), "");
    }
}

}  // namespace
}  // namespace stentor::bench
