#include "server/config/mosquitto_import.hpp"

#include "server/config/load.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace stentor::config {
namespace {

using testing::HasSubstr;
using testing::Not;

class MosquittoImport : public testing::Test {
  protected:
    std::string write(const std::string& name, const std::string& content) {
        std::filesystem::create_directories((directory_.path() / name).parent_path());
        return directory_.write(name, content);
    }

    Imported imported(const std::string& content) {
        auto lines = read_mosquitto_file(write("mosquitto.conf", content));
        EXPECT_TRUE(lines.has_value());
        lines_ = *std::move(lines);
        return import_mosquitto(lines_, "/data");
    }

    /// What the broker makes of it; it has to take all of it.
    Options options(const std::string& content) {
        Sources sources;
        sources.file = write("stentor.toml", imported(content).toml);
        const auto loaded = load(sources);
        if (!loaded) {
            ADD_FAILURE() << render(loaded.error());
            return {};
        }
        return loaded->options;
    }

    std::string warnings(const std::string& content) {
        return render(imported(content).warnings, "warning");
    }

    kit::TempDir directory_;
    std::vector<MosquittoLine> lines_;
};

TEST_F(MosquittoImport, NothingSaidMeansThisMachineAndNoStore) {
    const Options options = this->options("");
    ASSERT_EQ(options.listeners.size(), 1U);
    EXPECT_EQ(to_string(options.listeners[0].url), "mqtt://127.0.0.1:1883");
    EXPECT_EQ(options.auth.anonymous, AnonymousPolicy::loopback);
    EXPECT_TRUE(options.node.keeps_nothing());
}

TEST_F(MosquittoImport, AListenerAsksForNamesUnlessItSaysOtherwise) {
    EXPECT_EQ(options("listener 1883\n").auth.anonymous, AnonymousPolicy::never);
    EXPECT_EQ(options("port 1883\n").auth.anonymous, AnonymousPolicy::never);
    EXPECT_EQ(options("listener 1883\nallow_anonymous true\n").auth.anonymous,
              AnonymousPolicy::always);
    EXPECT_EQ(options("allow_anonymous false\n").auth.anonymous, AnonymousPolicy::never);
}

TEST_F(MosquittoImport, Listeners) {
    const Options options = this->options(
        "port 1884\n"
        "bind_address 127.0.0.1\n"
        "listener 8883 0.0.0.0\n"
        "certfile /etc/certs/server.crt\n"
        "keyfile /etc/certs/server.key\n"
        "max_connections 500\n"
        "listener 9001\n"
        "protocol websockets\n"
        "socket_domain ipv4\n"
        "max_connections -1\n"
        "listener 0 /run/mqtt.sock\n");
    ASSERT_EQ(options.listeners.size(), 4U);
    EXPECT_EQ(to_string(options.listeners[0].url), "mqtt://127.0.0.1:1884");
    EXPECT_EQ(to_string(options.listeners[1].url), "mqtts://0.0.0.0:8883");
    EXPECT_EQ(options.listeners[1].tls.certificate_file, "/etc/certs/server.crt");
    EXPECT_EQ(options.listeners[1].tls.key_file, "/etc/certs/server.key");
    EXPECT_EQ(options.listeners[1].connections_max, 500U);
    EXPECT_EQ(to_string(options.listeners[2].url), "ws://0.0.0.0:9001/mqtt");
    EXPECT_EQ(options.listeners[2].connections_max, 0U);
    EXPECT_EQ(to_string(options.listeners[3].url), "unix:///run/mqtt.sock");
}

TEST_F(MosquittoImport, CertificatesOfClients) {
    const std::string tls = "listener 8883\ncertfile c\nkeyfile k\ncafile ca\ncrlfile crl\n";
    const Options with = options(tls + "require_certificate true\n");
    EXPECT_EQ(with.listeners[0].tls.client_certificate, ClientCertificate::required);
    EXPECT_EQ(with.listeners[0].tls.client_ca_file, "ca");
    EXPECT_EQ(with.listeners[0].tls.client_crl_file, "crl");
    EXPECT_THAT(warnings(tls + "require_certificate true\n"), HasSubstr("common name"));
    EXPECT_EQ(warnings(tls + "require_certificate true\nuse_identity_as_username true\n"), "");
    // cafile alone asks nobody for anything.
    const Options without = options(tls);
    EXPECT_EQ(without.listeners[0].tls.client_certificate, ClientCertificate::none);
    EXPECT_EQ(without.listeners[0].tls.client_ca_file, "");
}

TEST_F(MosquittoImport, UsersAndRulesStayWhereTheyAre) {
    const Options options = this->options("password_file /etc/pw with blanks\nacl_file /etc/acl\n");
    EXPECT_EQ(options.auth.password_file, "/etc/pw with blanks");
    EXPECT_EQ(options.auth.acl_file, "/etc/acl");
    EXPECT_EQ(options.auth.acl_subscribe, AclSubscribe::filter);
}

TEST_F(MosquittoImport, Bounds) {
    const Options options = this->options(
        "max_inflight_messages 0\n"
        "max_queued_messages 5000\n"
        "max_queued_bytes 0\n"
        "max_packet_size 2000\n"
        "max_keepalive 600\n"
        "sys_interval 0\n"
        "persistent_client_expiration 2m\n"
        "persistence true\n"
        "log_type error\n"
        "log_type warning\n");
    EXPECT_EQ(options.limits.inflight_maximum, 65'535);
    EXPECT_EQ(options.limits.session_backlog_messages_max, 5000U);
    EXPECT_EQ(options.limits.transient_queue_messages_max, 5000U);
    EXPECT_EQ(options.limits.session_backlog_bytes_max, 1ULL << 40U);
    EXPECT_EQ(options.limits.packet_bytes_max, 2000U);
    EXPECT_EQ(options.limits.keepalive_max, std::chrono::seconds{600});
    EXPECT_EQ(options.limits.session_expiry_max, std::chrono::days{60});
    EXPECT_EQ(options.node.sys_interval.count(), 0);
    EXPECT_EQ(options.node.data_dir, "/data");
    EXPECT_EQ(options.logging.level, LogLevel::warn);
}

TEST_F(MosquittoImport, WhatIsNotThereIsSaidWithItsLine) {
    const std::string said = warnings(
        "# a comment\n"
        "max_inflight_messages many\n"
        "alow_anonymous true\n"
        "max_packet_size 12\n"
        "retain_available false\n"
        "connection edge\n"
        "address 192.0.2.1\n"
        "topic # both\n");
    EXPECT_THAT(said, HasSubstr("mosquitto.conf:2:1: warning: left out: not a whole number"));
    EXPECT_THAT(said, HasSubstr("mosquitto.conf:3:1: warning: unknown directive `alow_anonymous`"));
    EXPECT_THAT(said, HasSubstr("did you mean `allow_anonymous`?"));
    EXPECT_THAT(said, HasSubstr("mosquitto.conf:4:1: warning: left out: "));
    EXPECT_THAT(said, HasSubstr("mosquitto.conf:5:1: warning: retained messages cannot be"));
    EXPECT_THAT(said, HasSubstr("mosquitto.conf:6:1: warning: this bridge is left out"));
    EXPECT_THAT(said, Not(HasSubstr("mosquitto.conf:7")));
    const Imported needless = imported("pid_file /run/m.pid\n");
    EXPECT_TRUE(needless.warnings.empty());
    ASSERT_EQ(needless.notes.size(), 1U);
    EXPECT_EQ(needless.notes[0].place.line, 1U);
}

TEST_F(MosquittoImport, NothingBecomesMoreOpen) {
    EXPECT_EQ(options("allow_anonymous true\nplugin /x.so\n").auth.anonymous,
              AnonymousPolicy::never);
    const std::string per_listener = "per_listener_settings true\n";
    EXPECT_EQ(options(per_listener +
                      "listener 1\nallow_anonymous true\nallow_anonymous true\nlistener 2\n")
                  .auth.anonymous,
              AnonymousPolicy::never);
    EXPECT_EQ(options(per_listener + "listener 1\nallow_anonymous true\n").auth.anonymous,
              AnonymousPolicy::always);
    // Without what is missing here both would take plain MQTT and all topics from everybody.
    const Options some = options(
        "listener 1883\nlistener 8883\npsk_hint x\nlistener 1884\nmount_point a/\n"
        "allow_anonymous true\n");
    ASSERT_EQ(some.listeners.size(), 1U);
    EXPECT_EQ(some.listeners[0].url.port, 1883);
    EXPECT_THAT(
        warnings(per_listener + "listener 1\npassword_file a\nlistener 2\npassword_file b\n"),
        HasSubstr("a stays"));
}

TEST_F(MosquittoImport, FilesOfADirectoryStandInItsPlace) {
    write("conf.d/2.conf", "max_keepalive 20\nnonsense\n");
    write("conf.d/1.conf", "max_keepalive 10\n");
    write("conf.d/3.other", "max_keepalive 30\n");
    const std::string content = "include_dir " + (directory_.path() / "conf.d").string() + '\n';
    EXPECT_EQ(options(content).limits.keepalive_max, std::chrono::seconds{20});
    EXPECT_THAT(warnings(content), HasSubstr("2.conf:2:1: warning: unknown directive"));
    const auto failed = read_mosquitto_file(write("other.conf", "\ninclude_dir /nowhere\n"));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().place.line, 2U);
    const auto endless = read_mosquitto_file(
        write("loop/a.conf", "include_dir " + (directory_.path() / "loop").string() + '\n'));
    ASSERT_FALSE(endless);
    EXPECT_THAT(endless.error().what, HasSubstr("includes itself"));
}

}  // namespace
}  // namespace stentor::config
