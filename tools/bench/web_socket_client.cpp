#include "tools/bench/web_socket_client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace stentor::bench {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kResponseBytesMax = std::size_t{8} * 1024;
// The key of RFC 6455 section 1.3 and its answer. A key of its own for each connection protects
// from caches between client and server, and costs a hash.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kText = 1;
constexpr std::uint8_t kBinary = 2;
constexpr std::uint8_t kClose = 8;
constexpr std::uint8_t kPing = 9;
constexpr std::uint8_t kPong = 10;
constexpr std::size_t kControlBytesMax = 125;  // RFC 6455 5.5

bool is_control(std::uint8_t opcode) { return opcode >= kClose; }

std::uint8_t octet(std::byte value) { return std::to_integer<std::uint8_t>(value); }

/// Head of a frame with what it has so far: 2, 4 or 10 bytes.
std::size_t head_size(std::byte second) {
    switch (octet(second) & 0x7FU) {
        case 126:
            return 4;
        case 127:
            return 10;
        default:
            return 2;
    }
}

}  // namespace

void WebSocketClient::begin(const std::string& host,
                            const std::string& path,
                            mqtt::WireBuffer& out) {
    out.append(
        as_bytes(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Key: {}\r\n"
                             "Sec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                             path.empty() ? "/mqtt" : path,
                             host,
                             kKey)));
}

std::size_t WebSocketClient::receive(MutableByteView bytes, mqtt::WireBuffer& out) {
    std::size_t at = state_ == State::upgrading ? read_response(bytes) : 0;
    std::size_t clear = 0;
    while (at < bytes.size() && is_open()) {
        if (!in_payload_) {
            head_[head_bytes_++] = bytes[at++];
            if (head_bytes_ >= 2 && head_bytes_ == head_size(head_[1])) begin_frame();
        }
        if (!in_payload_) continue;
        const std::uint64_t size = std::min<std::uint64_t>(left_, bytes.size() - at);
        const ByteView payload = bytes.subspan(at, size);
        if (is_control(octet(head_[0]) & 0x0FU)) {
            control_.insert(control_.end(), payload.begin(), payload.end());
        } else {
            std::memmove(bytes.data() + clear, payload.data(), payload.size());
            clear += payload.size();
        }
        at += size;
        left_ -= size;
        if (left_ == 0) end_frame(out);
    }
    return clear;
}

/// How much of `bytes` is the response's.
std::size_t WebSocketClient::read_response(ByteView bytes) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t before = response_.size();
    response_.append(as_text(bytes));
    const std::size_t end = response_.find(kEnd);
    if (end == std::string::npos) {
        if (response_.size() > kResponseBytesMax) fail("the answer to the upgrade does not end");
        return bytes.size();
    }
    response_.resize(end + kEnd.size());
    const std::size_t used = response_.size() - before;
    check_response();
    response_ = {};
    return used;
}

void WebSocketClient::check_response() {
    http::response_parser<http::empty_body> parser;
    parser.skip(true);  // a refusal's body is not of interest
    boost::beast::error_code error;
    parser.put(boost::asio::buffer(response_), error);
    if (error) return fail("what answers there does not speak HTTP");
    const auto& head = parser.get();
    if (head.result() != http::status::switching_protocols) {
        return fail(
            fmt::format("HTTP {} instead of a WebSocket; is the path right?", head.result_int()));
    }
    if (head[http::field::sec_websocket_accept] != kAccept) {
        return fail("the answer to the upgrade is another one's");
    }
    if (head[http::field::sec_websocket_protocol] != "mqtt") {
        return fail("the WebSocket does not speak MQTT");  // [MQTT-6.0.0-4]
    }
    state_ = State::open;
}

void WebSocketClient::begin_frame() {
    const std::uint8_t opcode = octet(head_[0]) & 0x0FU;
    const std::uint8_t size = octet(head_[1]) & 0x7FU;
    if ((octet(head_[1]) & kMasked) != 0) return fail("a frame of the broker is masked");
    if (opcode == kText) return fail("the broker sent a text frame");  // [MQTT-6.0.0-1]
    const ByteView longer{&head_[2], head_.size() - 2};
    left_ = size == 126   ? load_big_endian<std::uint16_t>(longer)
            : size == 127 ? load_big_endian<std::uint64_t>(longer)
                          : size;
    if (is_control(opcode) && left_ > kControlBytesMax) return fail("a control frame is too long");
    in_payload_ = true;
}

void WebSocketClient::end_frame(mqtt::WireBuffer& out) {
    const std::uint8_t opcode = octet(head_[0]) & 0x0FU;
    if (opcode == kPing) frame(kPong, control_, out);
    if (opcode == kClose) finish(out);
    control_.clear();
    head_bytes_ = 0;
    in_payload_ = false;
}

void WebSocketClient::send(ByteView clear, mqtt::WireBuffer& out) { frame(kBinary, clear, out); }

void WebSocketClient::finish(mqtt::WireBuffer& out) {
    if (close_sent_ || !is_open()) return;
    close_sent_ = true;
    constexpr std::array<std::byte, 2> kNormal{std::byte{0x03}, std::byte{0xE8}};  // 1000
    frame(kClose, kNormal, out);
}

void WebSocketClient::frame(std::uint8_t opcode, ByteView payload, mqtt::WireBuffer& out) {
    std::byte* at = out.reserve(payload.size() + 14);
    const std::byte* const begin = at;
    *at++ = std::byte{static_cast<std::uint8_t>(kFinal | opcode)};
    const auto store = [&at](std::uint64_t value, unsigned bytes) {
        for (unsigned i = bytes; i-- != 0;) {
            *at++ = static_cast<std::byte>((value >> (8U * i)) & 0xFFU);
        }
    };
    if (payload.size() < 126) {
        *at++ = std::byte{static_cast<std::uint8_t>(kMasked | payload.size())};
    } else if (payload.size() <= 0xFFFF) {
        *at++ = std::byte{kMasked | 126U};
        store(payload.size(), 2);
    } else {
        *at++ = std::byte{kMasked | 127U};
        store(payload.size(), 8);
    }
    std::array<std::byte, 4> mask{};
    const std::uint64_t drawn = masks_.next();
    std::memcpy(mask.data(), &drawn, mask.size());
    at = std::copy(mask.begin(), mask.end(), at);
    for (std::size_t i = 0; i < payload.size(); ++i) *at++ = payload[i] ^ mask[i % mask.size()];
    out.commit(static_cast<std::size_t>(at - begin));
}

void WebSocketClient::fail(std::string why) {
    why_ = std::move(why);
    state_ = State::failed;
}

}  // namespace stentor::bench
