#include "server/transport/web_socket.hpp"

#include "base/address.hpp"
#include "protocol/codec/utf8.hpp"
#include "server/transport/http_fields.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace stentor::server {

namespace http = boost::beast::http;

namespace {

constexpr std::size_t kRequestBytesMax = std::size_t{8} * 1024;
constexpr std::size_t kControlBytesMax = 125;  // RFC 6455 5.5
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kUnacceptable = 1003;
constexpr std::uint16_t kNotText = 1007;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// RFC 6455 4.2.2, step 5.4.
std::string accept_of(std::string_view key) {
    constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const std::string text = std::string{key}.append(kGuid);
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    (void)::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha1(), nullptr);
    std::array<unsigned char, 32> encoded{};
    const int size = ::EVP_EncodeBlock(encoded.data(), digest.data(), SHA_DIGEST_LENGTH);
    return {encoded.begin(), encoded.begin() + size};
}

/// 16 bytes in base64 (RFC 6455 4.1, step 7).
bool is_key(std::string_view key) {
    std::array<unsigned char, 18> decoded{};
    return key.size() == 24 && key.ends_with("==") &&
           ::EVP_DecodeBlock(decoded.data(),
                             reinterpret_cast<const unsigned char*>(key.data()),
                             static_cast<int>(key.size())) == 18;
}

bool asks_for_web_socket(const http::request<http::empty_body>& request) {
    const std::string connection = list_of(request, "Connection");
    const std::string upgrade = list_of(request, "Upgrade");
    return request.method() == http::verb::get && request.version() == 11 &&
           http::token_list{connection}.exists("upgrade") &&
           http::token_list{upgrade}.exists("websocket");
}

/// Which of the offered ones it is, as the client has written it: some compare our answer with
/// that letter by letter. [MQTT-6.0.0-3], [MQTT-6.0.0-4]; 3.1 clients name the older one. Empty:
/// none of ours.
std::string_view subprotocol_of(const std::string& offered) {
    for (const char* const ours : {"mqtt", "mqttv3.1"}) {
        for (const boost::beast::string_view each : http::token_list{offered}) {
            if (boost::beast::iequals(each, ours)) return view(each);
        }
    }
    return {};
}

void append(mqtt::WireBuffer& out, std::string_view text) { out.append(as_bytes(text)); }

bool stands_twice(const http::fields& request, http::field name) { return request.count(name) > 1; }

/// RFC 6455 7.4 and the codes registered since; 1004 to 1006 and 1015 never come in a frame.
bool may_be_close_code(std::uint16_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/// U+0000 may stand here, unlike in MQTT.
bool is_utf8(std::string_view text) {
    std::string without{text};
    std::replace(without.begin(), without.end(), '\0', ' ');
    return mqtt::is_mqtt_text(without);
}

/// A page that a loopback host has served: "http://localhost:8080", "https://[::1]". Not "null",
/// which is any page's that hides where it is from.
bool is_loopback_origin(std::string_view origin) {
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos) return false;
    std::string_view host = origin.substr(scheme + 3);
    if (host.starts_with('[')) {
        host = host.substr(1, host.find(']') - 1);
    } else {
        host = host.substr(0, host.find(':'));
    }
    if (host == "localhost" || host.ends_with(".localhost")) return true;  // RFC 6761 6.3
    const auto address = AddressKey::of(host);
    return address && address->is_loopback();
}

/// First byte and length of a frame that is whole and unmasked (RFC 6455 5.2).
void append_head(mqtt::WireBuffer& out, std::uint8_t opcode, std::size_t bytes) {
    std::array<std::byte, 10> head{};
    std::size_t size = 2;
    head[0] = static_cast<std::byte>(0x80U | opcode);
    if (bytes < 126) {
        head[1] = static_cast<std::byte>(bytes);
    } else if (bytes <= 0xFFFF) {
        head[1] = std::byte{126};
        store_u16(MutableByteView{head}.subspan(2), static_cast<std::uint16_t>(bytes));
        size = 4;
    } else {
        head[1] = std::byte{127};
        store_u64(MutableByteView{head}.subspan(2), bytes);
        size = 10;
    }
    out.append(ByteView{head}.first(size));
}

}  // namespace

struct WebSocket::Upgrade {
    http::request_parser<http::empty_body> parser;
    Bytes held;  // of a head that has not come whole
};

WebSocket::WebSocket(const WebSocketRules& rules)
    : rules_{&rules}, upgrade_{std::make_unique<Upgrade>()} {
    upgrade_->parser.header_limit(kRequestBytesMax);
}

WebSocket::~WebSocket() = default;

WebSocket::State WebSocket::receive(MutableByteView bytes, Bytes& clear, mqtt::WireBuffer& out) {
    if (state_ == State::upgrading) {
        const std::size_t used = read_request(bytes, out);
        if (state_ != State::open) return state_;
        bytes = bytes.subspan(used);
    }
    read_frames(bytes, clear, out);
    return state_;
}

/// Returns how many of the bytes belong to the request, once its head is complete.
std::size_t WebSocket::read_request(ByteView bytes, mqtt::WireBuffer& out) {
    Upgrade& upgrade = *upgrade_;
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t held = upgrade.held.size();
    upgrade.held.insert(upgrade.held.end(), bytes.begin(), bytes.end());
    const std::size_t from = held < kEnd.size() ? 0 : held - kEnd.size();
    const std::size_t end = as_text(upgrade.held).find(kEnd, from);
    if (std::min(end, upgrade.held.size()) > kRequestBytesMax) {
        if (leaves_to_others()) return bytes.size();
        refuse(431, nullptr, "the head of the HTTP request is too long", out);
        return bytes.size();
    }
    if (end == std::string_view::npos) return bytes.size();
    const std::size_t size = end + kEnd.size();
    boost::beast::error_code error;
    (void)upgrade.parser.put(boost::asio::const_buffer{upgrade.held.data(), size}, error);
    const bool understood = !error && upgrade.parser.is_header_done();
    if (!understood || !asks_for_web_socket(upgrade.parser.get())) {
        if (leaves_to_others()) return bytes.size();
    }
    if (!understood) {
        refuse(400, nullptr, "what came is no HTTP request", out);
        return bytes.size();
    }
    answer_request(out);
    upgrade_.reset();
    return size - held;
}

bool WebSocket::leaves_to_others() noexcept {
    if (rules_->serves_others) state_ = State::other;
    return rules_->serves_others;
}

Bytes WebSocket::take_request() { return std::move(upgrade_->held); }

void WebSocket::look_who_asks() {
    const auto& request = upgrade_->parser.get();
    forwarded_for_ = list_of(request, "X-Forwarded-For");
    for (const auto& field : request) {
        const bool page_from_elsewhere =
            field.name() == http::field::origin && !is_loopback_origin(view(field.value()));
        if (page_from_elsewhere || is_mark_of_proxy(view(field.name_string())))
            is_for_others_ = true;
    }
}

void WebSocket::answer_request(mqtt::WireBuffer& out) {
    look_who_asks();
    const auto& request = upgrade_->parser.get();
    const std::string offered = list_of(request, "Sec-WebSocket-Protocol");
    const std::string_view target = view(request.target());
    if (target.substr(0, target.find('?')) != rules_->path) {
        refuse(404, nullptr, "no such path; MQTT over WebSocket has another here", out);
        return;
    }
    if (!asks_for_web_socket(request)) {
        refuse(
            426, "Upgrade: websocket\r\nConnection: Upgrade\r\n", "WebSocket is spoken here", out);
        return;
    }
    if (request[http::field::sec_websocket_version] != "13") {
        refuse(426, "Sec-WebSocket-Version: 13\r\n", "a WebSocket version that is not 13", out);
        return;
    }
    const std::string_view key = view(request[http::field::sec_websocket_key]);
    if (stands_twice(request, http::field::host) || stands_twice(request, http::field::origin) ||
        stands_twice(request, http::field::sec_websocket_key) ||
        stands_twice(request, http::field::sec_websocket_version)) {
        refuse(400, nullptr, "a header field twice that may stand once", out);
        return;
    }
    if (!is_key(key) || request[http::field::host].empty()) {
        refuse(400, nullptr, "a WebSocket request without a right key or host", out);
        return;
    }
    const std::string_view origin = view(request[http::field::origin]);
    const auto& origins = rules_->origins;
    if (!origin.empty() && !origins.empty() &&
        std::find(origins.begin(), origins.end(), origin) == origins.end()) {
        refuse(403, nullptr, "an Origin that is not among the allowed ones", out);
        return;
    }
    const std::string_view protocol = subprotocol_of(offered);
    if (protocol.empty()) {
        refuse(400, nullptr, "a WebSocket without the subprotocol \"mqtt\"", out);
        return;
    }
    append(out,
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: ");
    append(out, accept_of(key));
    append(out, "\r\nSec-WebSocket-Protocol: ");
    append(out, protocol);
    append(out, "\r\n\r\n");
    state_ = State::open;
}

void WebSocket::turn_away(const char* why, mqtt::WireBuffer& out) {
    out.clear();
    refuse(400, nullptr, why, out);
}

void WebSocket::refuse(unsigned status,
                       const char* extra_header,
                       const char* why,
                       mqtt::WireBuffer& out) {
    const auto reason = view(http::obsolete_reason(static_cast<http::status>(status)));
    std::string answer = "HTTP/1.1 " + std::to_string(status) + ' ';
    answer.append(reason).append("\r\n");
    if (extra_header != nullptr) answer += extra_header;
    std::string body = why;
    if (status == 404) body += " (" + rules_->path + ')';
    body += '\n';
    answer += "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\nConnection: close\r\n\r\n" + body;
    append(out, answer);
    why_ = why;
    state_ = State::failed;
}

void WebSocket::read_frames(MutableByteView bytes, Bytes& clear, mqtt::WireBuffer& out) {
    while (state_ == State::open) {
        if (!in_payload_) {
            if (bytes.empty()) return;
            head_[head_bytes_++] = bytes.front();
            bytes = bytes.subspan(1);
            if (!begin_frame(out)) continue;
        }
        const auto part =
            bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
        bytes = bytes.subspan(part.size());
        left_ -= part.size();
        unmask(part);
        if (opcode_ >= close) {
            std::copy(part.begin(), part.end(), control_.begin() + control_bytes_);
            control_bytes_ = static_cast<std::uint8_t>(control_bytes_ + part.size());
        } else {
            clear.insert(clear.end(), part.begin(), part.end());
        }
        if (left_ != 0) return;
        in_payload_ = false;
        head_bytes_ = 0;
        if (opcode_ >= close) end_control_frame(out);
    }
}

/// Looks at the head as far as it has come; true once it is whole and right.
bool WebSocket::begin_frame(mqtt::WireBuffer& out) {
    const auto first = std::to_integer<std::uint8_t>(head_[0]);
    if (head_bytes_ == 1) {
        opcode_ = first & 0xFU;
        final_ = (first & 0x80U) != 0;
        if ((first & 0x70U) != 0) {
            fail(kProtocolError, "a WebSocket frame with reserved bits", out);
        } else if (opcode_ == text) {
            fail(kUnacceptable, "a WebSocket frame with text instead of MQTT", out);  // 6.0.0-1
        } else if (opcode_ > pong || (opcode_ > binary && opcode_ < close) ||
                   (opcode_ >= close && !final_) || (opcode_ == continuation && !in_message_) ||
                   (opcode_ == binary && in_message_)) {
            fail(kProtocolError, "a WebSocket frame that must not come here", out);
        } else if (opcode_ < close) {
            in_message_ = !final_;
        }
        return false;
    }
    const auto second = std::to_integer<std::uint8_t>(head_[1]);
    const unsigned short_length = second & 0x7FU;
    if (head_bytes_ == 2) {
        if ((second & 0x80U) == 0) fail(kProtocolError, "an unmasked WebSocket frame", out);
        if (opcode_ >= close && short_length > kControlBytesMax) {
            fail(kProtocolError, "a WebSocket control frame that is too long", out);
        }
        return false;
    }
    const std::size_t length_bytes = short_length < 126 ? 0 : short_length == 126 ? 2 : 8;
    if (head_bytes_ < 2 + length_bytes + mask_.size()) return false;
    const ByteView rest = ByteView{head_}.subspan(2);
    left_ = length_bytes == 0 ? short_length : length_bytes == 2 ? load_u16(rest) : load_u64(rest);
    const std::uint64_t least = length_bytes == 0 ? 0 : length_bytes == 2 ? 126 : 0x1'0000;
    if ((left_ >> 63U) != 0 || left_ < least) {
        fail(kProtocolError, "a WebSocket frame whose length is not in its shortest form", out);
        return false;
    }
    std::copy_n(
        rest.begin() + static_cast<std::ptrdiff_t>(length_bytes), mask_.size(), mask_.begin());
    mask_at_ = 0;
    control_bytes_ = 0;
    in_payload_ = true;
    return true;
}

void WebSocket::unmask(MutableByteView bytes) noexcept {
    for (std::byte& byte : bytes) {
        byte ^= mask_[mask_at_];
        mask_at_ = (mask_at_ + 1) & 3U;
    }
}

void WebSocket::end_control_frame(mqtt::WireBuffer& out) {
    const ByteView payload = ByteView{control_}.first(control_bytes_);
    if (opcode_ == ping) {
        append_head(out, pong, payload.size());
        out.append(payload);
    } else if (opcode_ == close) {
        if (payload.size() == 1) {
            fail(kProtocolError, "a WebSocket Close with half a code", out);
            return;
        }
        if (payload.size() >= 2 && !may_be_close_code(load_u16(payload))) {
            fail(kProtocolError, "a WebSocket Close with a code that nobody may send", out);
            return;
        }
        if (payload.size() > 2 && !is_utf8(as_text(payload.subspan(2)))) {
            fail(kNotText, "a WebSocket Close whose reason is no UTF-8", out);
            return;
        }
        state_ = State::ended;
        if (close_sent_) return;
        close_sent_ = true;
        append_head(out, close, std::min<std::size_t>(payload.size(), 2));
        out.append(payload.first(std::min<std::size_t>(payload.size(), 2)));
    }
}

void WebSocket::fail(std::uint16_t code, const char* why, mqtt::WireBuffer& out) {
    if (state_ == State::failed) return;
    state_ = State::failed;
    why_ = why;
    close_sent_ = true;
    std::array<std::byte, 2> payload{};
    store_u16(payload, code);
    append_head(out, close, payload.size());
    out.append(payload);
}

void WebSocket::frame(mqtt::WireBuffer& from, std::size_t bytes, mqtt::WireBuffer& out) {
    append_head(out, binary, bytes);
    out.append_from(from, bytes);
}

void WebSocket::finish(mqtt::WireBuffer& out) {
    if (state_ != State::open || close_sent_) return;
    close_sent_ = true;
    std::array<std::byte, 2> payload{};
    store_u16(payload, kGoingAway);
    append_head(out, close, payload.size());
    out.append(payload);
}

}  // namespace stentor::server
