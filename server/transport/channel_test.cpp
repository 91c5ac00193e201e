#include "server/transport/channel.hpp"

#include "auth/certificate_maker.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace stentor::server {
namespace {

using namespace std::string_view_literals;

constexpr std::chrono::hours kLife{24};
constexpr std::string_view kConnect = "\x10\x0C\x00\x04MQTT\x04\x02\x00\x3C\x00\x00"sv;
const std::string kUpgrade =
    "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n";

std::string drain(mqtt::WireBuffer& buffer) { return std::string{as_text(buffer.take())}; }

/// OpenSSL's client on memory.
class TlsClient {
  public:
    TlsClient(const std::string& ca, std::string host)
        : context_{::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free}, host_{std::move(host)} {
        (void)::SSL_CTX_load_verify_file(context_.get(), ca.c_str());
        ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    void use(const std::string& certificate, const std::string& key) {
        (void)::SSL_CTX_use_certificate_chain_file(context_.get(), certificate.c_str());
        (void)::SSL_CTX_use_PrivateKey_file(context_.get(), key.c_str(), SSL_FILETYPE_PEM);
    }
    void use_groups(const char* groups) { (void)SSL_CTX_set1_groups_list(context_.get(), groups); }
    void start() {
        ssl_.reset(::SSL_new(context_.get()));
        in_ = ::BIO_new(::BIO_s_mem());
        out_ = ::BIO_new(::BIO_s_mem());
        ::SSL_set_bio(ssl_.get(), in_, out_);
        (void)::SSL_ctrl(
            ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host_.data());
        (void)::SSL_set1_host(ssl_.get(), host_.c_str());
        ::SSL_set_connect_state(ssl_.get());
    }
    /// Takes the server's bytes; returns what goes to it, and keeps what it said.
    std::string step(const std::string& from_server) {
        (void)::BIO_write(in_, from_server.data(), static_cast<int>(from_server.size()));
        std::array<char, 4096> buffer{};
        std::size_t got = 0;
        if (::SSL_is_init_finished(ssl_.get()) == 0) (void)::SSL_do_handshake(ssl_.get());
        while (::SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &got) == 1) {
            said_.append(buffer.data(), got);
        }
        closed_ = (::SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
        return take();
    }
    std::string say(std::string_view text) {
        std::size_t put = 0;
        EXPECT_EQ(::SSL_write_ex(ssl_.get(), text.data(), text.size(), &put), 1);
        return take();
    }
    std::string update_key(int kind) {
        EXPECT_EQ(::SSL_key_update(ssl_.get(), kind), 1);
        EXPECT_EQ(::SSL_do_handshake(ssl_.get()), 1);
        return take();
    }
    std::string bye() {
        (void)::SSL_shutdown(ssl_.get());
        return take();
    }
    [[nodiscard]] bool connected() const { return ::SSL_is_init_finished(ssl_.get()) == 1; }
    [[nodiscard]] bool resumed() const { return ::SSL_session_reused(ssl_.get()) == 1; }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] const std::string& said() const { return said_; }

  private:
    std::string take() {
        char* data = nullptr;
        const long size = BIO_get_mem_data(out_, &data);
        std::string bytes{data, static_cast<std::size_t>(size)};
        (void)BIO_reset(out_);
        return bytes;
    }
    std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context_;
    std::string host_;
    std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_{nullptr, ::SSL_free};
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
    std::string said_;
    bool closed_ = false;
};

class ChannelTest : public testing::Test {
  protected:
    ChannelTest() {
        write("ca.crt", maker_.authority().certificate);
        write_pair("server", *maker_.for_server(std::vector<std::string>{"localhost"}, kLife));
        write_pair("other", *maker_.for_server(std::vector<std::string>{"other.test"}, kLife));
        write_pair("client", *maker_.for_client("phone-7", kLife));
    }
    [[nodiscard]] std::string path(const std::string& name) const { return dir_.file(name); }
    void write(const std::string& name, const std::string& text) const {
        (void)dir_.write(name, text);
    }
    void write_pair(const std::string& name, const auth::CertificateAndKey& pair) const {
        write(name + ".crt", pair.certificate);
        write(name + ".key", pair.key);
    }
    [[nodiscard]] TlsOptions options() const {
        TlsOptions options;
        options.certificates = {{path("server.crt"), path("server.key")},
                                {path("other.crt"), path("other.key")}};
        return options;
    }
    Door& door(Door::Tls tls, Door::Speech speech, const TlsOptions& options) {
        door_.tls = tls;
        door_.speech = speech;
        if (tls == Door::Tls::never) return door_;
        door_.certificates = std::make_unique<TlsSlot>();
        door_.certificates->set(*TlsContext::load(options, nullptr));
        return door_;
    }
    static Channel::State feed(Channel& channel, std::string bytes, Bytes& clear) {
        (void)channel.receive(std::as_writable_bytes(std::span{bytes}), clear);
        return channel.is_behind_proxy_header() ? channel.go_on(clear) : channel.state();
    }
    /// Both sides until nobody has anything to say.
    static Channel::State talk(Channel& channel, TlsClient& client, Bytes& clear) {
        std::string to_server = client.step({});
        while (!to_server.empty() && channel.state() != Channel::State::failed) {
            (void)feed(channel, to_server, clear);
            to_server = client.step(drain(channel.network()));
        }
        return channel.state();
    }
    static PeerInfo peer() {
        return {.address = "127.0.0.1",
                .port = 1,
                .listener = 0,
                .loopback_listener = true,
                .certificate_name = {}};
    }

    kit::TempDir dir_;
    auth::CertificateMaker maker_ = *auth::CertificateMaker::make("test authority", kLife);
    Door door_;
};

TEST_F(ChannelTest, TlsCarriesMqttBothWays) {
    Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    EXPECT_TRUE(channel.shakes_hands());
    TlsClient client{path("ca.crt"), "localhost"};
    client.start();
    Bytes clear;
    EXPECT_EQ(talk(channel, client, clear), Channel::State::opening);
    ASSERT_TRUE(client.connected());
    EXPECT_FALSE(channel.shakes_hands());
    EXPECT_EQ(feed(channel, client.say(kConnect), clear), Channel::State::open);
    EXPECT_EQ(as_text(clear), kConnect);
    mqtt::WireBuffer out;
    const std::string large(100'000, 'z');
    out.append(as_bytes(large));
    channel.send(out, out.size());
    EXPECT_TRUE(out.empty());
    (void)client.step(drain(channel.network()));
    EXPECT_EQ(client.said(), large);
    channel.finish();
    (void)client.step(drain(channel.network()));
    EXPECT_TRUE(client.closed());
}

TEST_F(ChannelTest, TlsByteByByte) {
    Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    TlsClient client{path("ca.crt"), "localhost"};
    client.start();
    Bytes clear;
    std::string to_server = client.step({});
    while (!to_server.empty()) {
        for (const char byte : to_server) (void)feed(channel, std::string{byte}, clear);
        to_server = client.step(drain(channel.network()));
    }
    for (const char byte : client.say(kConnect)) (void)feed(channel, std::string{byte}, clear);
    EXPECT_EQ(as_text(clear), kConnect);
    EXPECT_EQ(feed(channel, client.bye(), clear), Channel::State::ended);
}

// OpenSSL would wait for 128 KiB of it.
TEST_F(ChannelTest, AHandshakeWithoutEndFails) {
    const std::string record = std::string{"\x16\x03\x01\x40\x00", 5} + std::string(0x4000, '\0');
    std::string first = record;
    first.replace(5, 4, std::string{"\x01\x01\xff\xff", 4});  // ClientHello, 131,071 bytes
    for (const auto mode : {ClientCertificates::none, ClientCertificates::optional}) {
        TlsOptions how = options();
        how.client_certificates = mode;
        how.client_ca_file = path("ca.crt");
        Channel channel{door(Door::Tls::always, Door::Speech::mqtt, how), peer()};
        Bytes clear;
        std::size_t taken = 0;
        while (channel.state() != Channel::State::failed && taken < std::size_t{128} * 1024) {
            (void)feed(channel, taken == 0 ? first : record, clear);
            taken += record.size();
        }
        EXPECT_EQ(channel.state(), Channel::State::failed);
        EXPECT_LE(taken, std::size_t{80} * 1024);
        EXPECT_EQ(channel.why(), "TLS: the handshake is too long");
    }
}

// RFC 8446, 4.6.3: for each the receiver computes new keys.
TEST_F(ChannelTest, KeyUpdatesWithoutEndFail) {
    for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
        Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
        TlsClient client{path("ca.crt"), "localhost"};
        client.start();
        Bytes clear;
        (void)talk(channel, client, clear);
        int taken = 0;
        while (taken < 1000 &&
               feed(channel, client.update_key(kind), clear) != Channel::State::failed) {
            ++taken;
        }
        EXPECT_EQ(taken, 33);
        EXPECT_NE(channel.why().find("too many records without data"), std::string::npos);
    }
}

TEST_F(ChannelTest, KeyUpdatesThatComeAtOnceFailWithinTheCall) {
    for (const bool with_handshake : {false, true}) {
        Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
        TlsClient client{path("ca.crt"), "localhost"};
        client.start();
        Bytes clear;
        (void)feed(channel, client.step({}), clear);
        std::string all = client.step(drain(channel.network()));
        if (!with_handshake) (void)feed(channel, std::exchange(all, {}), clear);
        ASSERT_TRUE(client.connected());
        for (int i = 0; i < 33; ++i) all += client.update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
        // Of one more only the head is looked at: OpenSSL would fail to decrypt it.
        all += "\x17\x03\x03\x00\x20"sv;
        all += std::string(32, 'x');
        EXPECT_EQ(feed(channel, all, clear), Channel::State::failed);
        EXPECT_NE(channel.why().find("too many records without data"), std::string::npos)
            << channel.why();
    }
}

TEST_F(ChannelTest, KeyUpdatesBetweenDataAreTaken) {
    Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    TlsClient client{path("ca.crt"), "localhost"};
    client.start();
    Bytes clear;
    (void)talk(channel, client, clear);
    (void)feed(channel, client.say(kConnect), clear);
    for (int i = 0; i < 100; ++i) {
        for (int record = 0; record < 128; ++record) (void)feed(channel, client.say("x"), clear);
        ASSERT_EQ(feed(channel, client.update_key(SSL_KEY_UPDATE_REQUESTED), clear),
                  Channel::State::open);
    }
    EXPECT_EQ(clear.size(), kConnect.size() + 100 * 128);
}

TEST_F(ChannelTest, HostChoosesTheCertificate) {
    Door& here = door(Door::Tls::always, Door::Speech::mqtt, options());
    for (const char* host : {"localhost", "other.test"}) {
        Channel channel{here, peer()};
        TlsClient client{path("ca.crt"), host};
        client.start();
        Bytes clear;
        (void)talk(channel, client, clear);
        EXPECT_TRUE(client.connected()) << host;
    }
}

TEST_F(ChannelTest, ClientCertificateNamesThePeer) {
    TlsOptions wanted = options();
    wanted.client_ca_file = path("ca.crt");
    wanted.client_certificates = ClientCertificates::required;
    Door& here = door(Door::Tls::always, Door::Speech::mqtt, wanted);
    Bytes clear;
    {
        Channel channel{here, peer()};
        TlsClient client{path("ca.crt"), "localhost"};
        client.use(path("client.crt"), path("client.key"));
        client.start();
        (void)talk(channel, client, clear);
        const auto told = channel.take_peer();
        ASSERT_TRUE(told);
        EXPECT_EQ(told->certificate_name, "phone-7");
        EXPECT_FALSE(channel.take_peer());
    }
    Channel channel{here, peer()};
    TlsClient nobody{path("ca.crt"), "localhost"};
    nobody.start();
    EXPECT_EQ(talk(channel, nobody, clear), Channel::State::failed);
    EXPECT_NE(channel.why().find("peer did not return a certificate"), std::string::npos);
}

TEST_F(ChannelTest, ACertificateWithoutAUsersNameIsRefused) {
    TlsOptions wanted = options();
    wanted.client_ca_file = path("ca.crt");
    wanted.client_certificates = ClientCertificates::optional;
    Door& here = door(Door::Tls::always, Door::Speech::mqtt, wanted);
    for (const char* name : {"a\nb", "\x7f", "\x1b[2J"}) {
        write_pair("odd", *maker_.for_client(name, kLife));
        Channel channel{here, peer()};
        TlsClient client{path("ca.crt"), "localhost"};
        client.use(path("odd.crt"), path("odd.key"));
        client.start();
        Bytes clear;
        EXPECT_EQ(talk(channel, client, clear), Channel::State::failed);
        EXPECT_NE(channel.why().find("no name of a user"), std::string::npos) << channel.why();
        EXPECT_FALSE(channel.take_peer());
    }
}

TEST_F(ChannelTest, WebSocketInsideTls) {
    Channel channel{door(Door::Tls::sniff, Door::Speech::sniff, options()), peer()};
    TlsClient client{path("ca.crt"), "localhost"};
    client.start();
    Bytes clear;
    (void)talk(channel, client, clear);
    EXPECT_EQ(feed(channel, client.say(kUpgrade + "\r\n"), clear), Channel::State::open);
    (void)client.step(drain(channel.network()));
    EXPECT_TRUE(client.said().starts_with("HTTP/1.1 101 "));
    EXPECT_EQ(feed(channel, client.say("\x82\x82\0\0\0\0\xC0\x00"sv), clear), Channel::State::open);
    EXPECT_EQ(as_text(clear), "\xC0\x00"sv);
    mqtt::WireBuffer out;
    out.append(as_bytes("\xD0\x00"sv));
    channel.send(out, 1000);
    (void)client.step(drain(channel.network()));
    EXPECT_TRUE(client.said().ends_with("\x82\x02\xD0\x00"sv));
}

TEST_F(ChannelTest, FirstBytesTellWhatComes) {
    door(Door::Tls::sniff, Door::Speech::sniff, options());
    Bytes clear;
    Channel plain{door_, peer()};
    EXPECT_EQ(feed(plain, std::string{kConnect}, clear), Channel::State::open);
    EXPECT_TRUE(plain.transparent());
    EXPECT_EQ(as_text(clear), kConnect);
    Channel web{door_, peer()};
    EXPECT_EQ(feed(web, kUpgrade, clear), Channel::State::opening);
    EXPECT_EQ(feed(web, "\r\n", clear), Channel::State::open);
    EXPECT_FALSE(web.transparent());
}

TEST_F(ChannelTest, WrongDoorsSayWhichIsRight) {
    Bytes clear;
    Channel tls{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    EXPECT_EQ(feed(tls, std::string{kConnect}, clear), Channel::State::failed);
    EXPECT_NE(tls.why().find("plain MQTT on a TLS door"), std::string::npos);
    Channel web{door(Door::Tls::never, Door::Speech::web_socket, options()), peer()};
    EXPECT_EQ(feed(web, "\x16\x03\x01", clear), Channel::State::failed);
    EXPECT_NE(web.why().find("TLS hello on a WebSocket door"), std::string::npos);
    EXPECT_TRUE(clear.empty());
}

TEST_F(ChannelTest, HttpAndTlsOnWrongDoorsAreTold) {
    const auto refusal = [this](Door::Tls tls, Door::Speech speech, const char* bytes) {
        Bytes clear;
        Channel channel{door(tls, speech, options()), peer()};
        EXPECT_EQ(feed(channel, bytes, clear), Channel::State::failed);
        EXPECT_TRUE(clear.empty());
        return channel.why();
    };
    const std::pair<Door::Speech, const char*> wanted[] = {
        {Door::Speech::http, "https://"},
        {Door::Speech::web_socket, "wss://"},
        {Door::Speech::mqtt, "http://, ws:// or auto://"}};
    for (const auto& [speech, advice] : wanted) {
        const std::string why = refusal(Door::Tls::always, speech, "GET / HTTP/1.1\r\n");
        EXPECT_EQ(why.find("plain HTTP on a TLS door"), 0U);
        EXPECT_NE(why.find(advice), std::string::npos) << why;
    }
    const char* const hello = "\x16\x03\x01";
    const std::string http = refusal(Door::Tls::never, Door::Speech::http, hello);
    EXPECT_NE(http.find("an https:// or auto://"), std::string::npos) << http;
    const std::string mqtt = refusal(Door::Tls::never, Door::Speech::mqtt, hello);
    EXPECT_NE(mqtt.find("an mqtts:// or auto://"), std::string::npos) << mqtt;
}

TEST_F(ChannelTest, ProxyHeaderOfTrustedProxiesOnly) {
    door_.proxy_header = true;
    door_.trusted_proxies = NetworkList::parse(std::vector<std::string>{"127.0.0.1"}).value();
    const std::string header = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n";
    for (const std::size_t cut : {std::size_t{1}, header.size() / 2, header.size()}) {
        Bytes clear;
        Channel channel{door_, peer()};
        (void)feed(channel, header.substr(0, cut), clear);
        EXPECT_EQ(feed(channel, header.substr(cut) + std::string{kConnect}, clear),
                  Channel::State::open);
        EXPECT_EQ(as_text(clear), kConnect);
        const auto told = channel.take_peer();
        ASSERT_TRUE(told);
        EXPECT_EQ(told->address, "192.0.2.1");
        EXPECT_FALSE(told->loopback_listener);
    }
    Bytes clear;
    Channel without{door_, peer()};
    EXPECT_EQ(feed(without, std::string{kConnect}, clear), Channel::State::failed);
    PeerInfo stranger = peer();
    stranger.address = "10.0.0.1";
    Channel direct{door_, stranger};
    EXPECT_EQ(feed(direct, std::string{kConnect}, clear), Channel::State::open);
    EXPECT_FALSE(direct.take_peer());
}

TEST_F(ChannelTest, AProxyHeaderWhereNoneIsWantedIsNamed) {
    const std::string versions[] = {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                                    std::string{"\r\n\r\n\0\r\nQUIT\n\x21"sv}};
    for (const std::string& header : versions) {
        Bytes clear;
        Channel unasked{door(Door::Tls::sniff, Door::Speech::sniff, options()), peer()};
        EXPECT_EQ(feed(unasked, header, clear), Channel::State::failed);
        EXPECT_NE(unasked.why().find("without proxy_protocol"), std::string::npos);
        door_.proxy_header = true;
        Channel stranger{door_, peer()};
        EXPECT_EQ(feed(stranger, header, clear), Channel::State::failed);
        EXPECT_NE(stranger.why().find("not in trusted_proxies"), std::string::npos);
        door_.proxy_header = false;
    }
}

TEST_F(ChannelTest, KnowsWhatItWaitsFor) {
    Bytes clear;
    Channel tls{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    EXPECT_NE(std::string_view{tls.waits_for()}.find("TLS handshake"), std::string_view::npos);
    Channel web{door(Door::Tls::never, Door::Speech::web_socket, options()), peer()};
    (void)feed(web, "GET ", clear);
    EXPECT_NE(std::string_view{web.waits_for()}.find("WebSocket"), std::string_view::npos);
    door_.proxy_header = true;
    door_.trusted_proxies = NetworkList::parse(std::vector<std::string>{"127.0.0.1"}).value();
    Channel proxy{door_, peer()};
    (void)feed(proxy, "PROXY TCP4 ", clear);
    EXPECT_NE(std::string_view{proxy.waits_for()}.find("PROXY header"), std::string_view::npos);
    Channel open{door(Door::Tls::never, Door::Speech::mqtt, options()), peer()};
    door_.proxy_header = false;
    (void)feed(open, std::string{kConnect}, clear);
    EXPECT_EQ(open.waits_for(), nullptr);
}

TEST_F(ChannelTest, HttpOnAnyPortComesOutInClearForSomebodyElse) {
    door(Door::Tls::sniff, Door::Speech::sniff, options());
    door_.web_socket.serves_others = true;
    const std::string request = "GET /livez HTTP/1.1\r\nHost: broker\r\n\r\nGET /readyz";
    for (const bool is_secure : {false, true}) {
        Channel channel{door_, peer()};
        Bytes clear;
        TlsClient client{path("ca.crt"), "localhost"};
        if (is_secure) {
            client.start();
            (void)talk(channel, client, clear);
            (void)feed(channel, client.say(request.substr(0, 20)), clear);
            EXPECT_EQ(channel.state(), Channel::State::opening);
            EXPECT_EQ(feed(channel, client.say(request.substr(20)), clear), Channel::State::http);
        } else {
            (void)feed(channel, request.substr(0, 20), clear);
            EXPECT_TRUE(clear.empty());
            EXPECT_EQ(feed(channel, request.substr(20), clear), Channel::State::http);
        }
        EXPECT_EQ(as_text(clear), request);
        // What follows comes through, and answers go back.
        clear.clear();
        EXPECT_EQ(feed(channel, is_secure ? client.say(" HT") : " HT", clear),
                  Channel::State::http);
        EXPECT_EQ(as_text(clear), " HT");
        mqtt::WireBuffer out;
        out.append(as_bytes("HTTP/1.1 200 OK\r\n"));
        channel.send(out, out.size());
        const std::string network = drain(channel.network());
        if (is_secure) (void)client.step(network);
        EXPECT_EQ(is_secure ? client.said() : network, "HTTP/1.1 200 OK\r\n");
    }
}

TEST_F(ChannelTest, AWebSocketOnAnyPortIsStillOne) {
    door(Door::Tls::never, Door::Speech::sniff, {});
    door_.web_socket.serves_others = true;
    Channel channel{door_, peer()};
    Bytes clear;
    EXPECT_EQ(feed(channel, kUpgrade + "\r\n", clear), Channel::State::open);
    EXPECT_TRUE(drain(channel.network()).starts_with("HTTP/1.1 101 "));
}

TEST_F(ChannelTest, HttpDoorsTakeNoMqtt) {
    Bytes clear;
    Channel channel{door(Door::Tls::never, Door::Speech::http, {}), peer()};
    EXPECT_EQ(feed(channel, std::string{kConnect}, clear), Channel::State::failed);
    Channel fine{door_, peer()};
    EXPECT_EQ(feed(fine, "GET / HTTP/1.1\r\n", clear), Channel::State::http);
    EXPECT_EQ(as_text(clear), "GET / HTTP/1.1\r\n");
}

TEST_F(ChannelTest, ForwardedForIsReadFromTheEnd) {
    door(Door::Tls::never, Door::Speech::web_socket, {});
    door_.trusted_proxies =
        NetworkList::parse(std::vector<std::string>{"127.0.0.1", "10.0.0.0/8"}).value();
    const std::string header = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1\r\n\r\n";
    Bytes clear;
    Channel trusted{door_, peer()};
    EXPECT_EQ(feed(trusted, kUpgrade + header, clear), Channel::State::open);
    EXPECT_EQ(trusted.take_peer()->address, "192.0.2.1");
    PeerInfo stranger = peer();
    stranger.address = "203.0.113.5";
    Channel untrusted{door_, stranger};
    EXPECT_EQ(feed(untrusted, kUpgrade + header, clear), Channel::State::open);
    const auto told = untrusted.take_peer();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->address, "203.0.113.5");
    EXPECT_FALSE(told->loopback_listener);
}

TEST_F(ChannelTest, RequiredCertificateMeansNoPlainSpeech) {
    TlsOptions wanted = options();
    wanted.client_ca_file = path("ca.crt");
    wanted.client_certificates = ClientCertificates::required;
    Door& here = door(Door::Tls::sniff, Door::Speech::sniff, wanted);
    for (const std::string& plain : {std::string{kConnect}, kUpgrade + "\r\n"}) {
        Bytes clear;
        Channel channel{here, peer()};
        EXPECT_TRUE(channel.may_shake_hands());
        EXPECT_EQ(feed(channel, plain, clear), Channel::State::failed);
        EXPECT_NE(channel.why().find("demands client certificates"), std::string::npos);
        EXPECT_TRUE(clear.empty());
    }
    Channel channel{here, peer()};
    TlsClient client{path("ca.crt"), "localhost"};
    client.use(path("client.crt"), path("client.key"));
    client.start();
    Bytes clear;
    (void)talk(channel, client, clear);
    EXPECT_EQ(feed(channel, client.say(kConnect), clear), Channel::State::open);
}

TEST_F(ChannelTest, TheFirstByteTellsAHandshakeAndAnAnswerEndsTheHello) {
    for (const Door::Tls tls : {Door::Tls::always, Door::Tls::sniff}) {
        Channel channel{door(tls, Door::Speech::sniff, options()), peer()};
        EXPECT_TRUE(channel.is_handshake(std::byte{0x16}));
        EXPECT_FALSE(channel.is_handshake(std::byte{0x10}));
        TlsClient client{path("ca.crt"), "localhost"};
        client.start();
        const std::string hello = client.step({});
        Bytes clear;
        (void)feed(channel, hello.substr(0, 20), clear);
        EXPECT_TRUE(channel.is_handshake(std::byte{0x10})) << "whatever the rest begins with";
        EXPECT_FALSE(channel.hello_is_answered());
        (void)feed(channel, hello.substr(20), clear);
        EXPECT_TRUE(channel.hello_is_answered());
        EXPECT_TRUE(channel.shakes_hands());
    }
    Channel plain{door(Door::Tls::never, Door::Speech::sniff, {}), peer()};
    EXPECT_FALSE(plain.is_handshake(std::byte{0x16}));
}

// The client has guessed a group that the server does not have.
TEST_F(ChannelTest, ToBeAskedForAnotherHelloIsNoAnswer) {
    Channel channel{door(Door::Tls::always, Door::Speech::mqtt, options()), peer()};
    TlsClient client{path("ca.crt"), "localhost"};
    client.use_groups("P-521:X25519");
    client.start();
    Bytes clear;
    (void)feed(channel, client.step({}), clear);
    const std::string asks_again = drain(channel.network());
    EXPECT_FALSE(asks_again.empty());
    EXPECT_FALSE(channel.hello_is_answered());
    (void)feed(channel, client.step(asks_again), clear);
    EXPECT_TRUE(channel.hello_is_answered());
    (void)feed(channel, client.step(drain(channel.network())), clear);
    EXPECT_FALSE(channel.shakes_hands());
}

TEST_F(ChannelTest, BehindAProxyHeaderTheHandshakeBegins) {
    Door& here = door(Door::Tls::always, Door::Speech::mqtt, options());
    here.proxy_header = true;
    here.trusted_proxies = NetworkList::parse(std::vector<std::string>{"127.0.0.1"}).value();
    Channel channel{here, peer()};
    EXPECT_FALSE(channel.is_handshake(std::byte{0x16})) << "the header must come first";
    std::string bytes = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 8883\r\n\x16\x03\x01";
    Bytes clear;
    (void)channel.receive(std::as_writable_bytes(std::span{bytes}), clear);
    EXPECT_TRUE(channel.goes_on_with_handshake());
}

TEST_F(ChannelTest, MqttOnAWebSocketDoorAndTlsWithoutCertificateAreNamed) {
    Bytes clear;
    Channel web{door(Door::Tls::never, Door::Speech::web_socket, {}), peer()};
    EXPECT_EQ(feed(web, "\x10", clear), Channel::State::failed);
    EXPECT_NE(web.why().find("MQTT without a WebSocket"), std::string::npos);
    EXPECT_FALSE(web.was_open());
    Channel automatic{door(Door::Tls::never, Door::Speech::sniff, {}), peer()};
    EXPECT_FALSE(automatic.may_shake_hands());
    EXPECT_EQ(feed(automatic, "\x16\x03\x01", clear), Channel::State::failed);
    EXPECT_NE(automatic.why().find("has no certificate"), std::string::npos);
    Channel open{door_, peer()};
    EXPECT_EQ(feed(open, kUpgrade + "\r\n", clear), Channel::State::open);
    EXPECT_EQ(feed(open, "\xFF", clear), Channel::State::failed);
    EXPECT_TRUE(open.was_open());
}

TEST_F(ChannelTest, ForwardedForMayStandOnSeveralLines) {
    door(Door::Tls::never, Door::Speech::web_socket, {});
    door_.trusted_proxies = NetworkList::parse(std::vector<std::string>{"127.0.0.1"}).value();
    // The client wrote the first line, its proxy the second.
    for (const std::string first :
         {"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-For:\r\n", "x-forwarded-for: junk\r\n"}) {
        Bytes clear;
        Channel channel{door_, peer()};
        EXPECT_EQ(feed(channel, kUpgrade + first + "X-Forwarded-For: 192.0.2.1:77\r\n\r\n", clear),
                  Channel::State::open);
        const auto told = channel.take_peer();
        ASSERT_TRUE(told) << first;
        EXPECT_EQ(told->address, "192.0.2.1");
        EXPECT_EQ(told->port, 77);
        EXPECT_FALSE(told->loopback_listener);
        EXPECT_FALSE(channel.peer_is_proxy());
    }
}

TEST_F(ChannelTest, MarksOfProxiesAndForeignPagesAreNotLoopback) {
    door(Door::Tls::never, Door::Speech::web_socket, {});
    for (const std::string field : {"X-Forwarded-For:",
                                    "X-Forwarded-For: ,",
                                    "X-Forwarded-Proto: https",
                                    "Forwarded: for=127.0.0.1",
                                    "X-Real-IP: 127.0.0.1",
                                    "x-real-ip:",
                                    "Via: 1.1 proxy",
                                    "Origin: https://evil.example",
                                    "Origin: http://127.0.0.1.evil.example",
                                    "Origin: null",
                                    "Origin: file://"}) {
        Bytes clear;
        Channel channel{door_, peer()};
        EXPECT_EQ(feed(channel, kUpgrade + field + "\r\n\r\n", clear), Channel::State::open);
        const auto told = channel.take_peer();
        ASSERT_TRUE(told) << field;
        EXPECT_EQ(told->address, "127.0.0.1");
        EXPECT_FALSE(told->loopback_listener) << field;
    }
    for (const std::string field : {"Origin: http://localhost:8080",
                                    "Origin: https://[::1]",
                                    "Origin: http://app.localhost",
                                    "Origin: http://127.1.2.3",
                                    "User-Agent: Forwarded"}) {
        Bytes clear;
        Channel channel{door_, peer()};
        EXPECT_EQ(feed(channel, kUpgrade + field + "\r\n\r\n", clear), Channel::State::open);
        EXPECT_FALSE(channel.take_peer()) << field;
    }
}

TEST_F(ChannelTest, TrustedProxyThatNamesNobodyIsRefused) {
    door(Door::Tls::never, Door::Speech::web_socket, {});
    door_.trusted_proxies = NetworkList::parse(std::vector<std::string>{"127.0.0.1"}).value();
    const std::string ping = {'\x82', '\x82', 0, 0, 0, 0, '\xC0', 0};
    Bytes clear;
    Channel channel{door_, peer()};
    EXPECT_EQ(feed(channel, kUpgrade + "X-Forwarded-For: unknown\r\n\r\n" + ping, clear),
              Channel::State::failed);
    EXPECT_TRUE(clear.empty());
    EXPECT_TRUE(drain(channel.network()).starts_with("HTTP/1.1 400 "));
    channel.finish();
    EXPECT_TRUE(channel.network().empty());
    EXPECT_NE(channel.why().find("X-Forwarded-For"), std::string::npos);
    PeerInfo stranger = peer();
    stranger.address = "203.0.113.5";
    Channel untrusted{door_, stranger};
    EXPECT_EQ(feed(untrusted, kUpgrade + "X-Forwarded-For: unknown\r\n\r\n", clear),
              Channel::State::open);
}

TEST_F(ChannelTest, BadFilesSayWhich) {
    TlsOptions wrong = options();
    wrong.certificates = {{path("server.crt"), path("other.key")}};
    EXPECT_NE(TlsContext::load(wrong, nullptr).error().what.find("other.key"), std::string::npos);
    wrong.certificates = {{path("missing.crt"), path("other.key")}};
    const TlsProblem missing = TlsContext::load(wrong, nullptr).error();
    EXPECT_NE(missing.what.find("missing.crt"), std::string::npos);
    EXPECT_NE(missing.what.find("No such file"), std::string::npos) << missing.what;
    wrong.certificates = {{"missing.crt", "other.key"}};
    EXPECT_NE(TlsContext::load(wrong, nullptr)
                  .error()
                  .what.find((std::filesystem::current_path() / "missing.crt").string()),
              std::string::npos);
    wrong = options();
    wrong.ciphers = "NONSENSE";
    EXPECT_FALSE(TlsContext::load(wrong, nullptr));
}

}  // namespace
}  // namespace stentor::server
