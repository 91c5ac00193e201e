#include "server/app/certificate_watch.hpp"

#include "auth/certificate_maker.hpp"
#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/log.hpp"
#include "server/app/doors.hpp"
#include "tests/kit/temp_dir.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace stentor::app {
namespace {

using namespace std::chrono_literals;
using auth::CertificateMaker;
using server::WallTime;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::hours kDay{24};

/// One TLS door with the files of a directory, and what the log says.
class CertificateWatchTest : public testing::Test {
  protected:
    CertificateWatchTest() {
        (void)dir_.write("log", "");
        log_ = Descriptor{::open(dir_.file("log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
        log_start({.level = LogLevel::info, .format = LogFormat::json, .descriptor = log_.get()});
        config::ListenerOptions listener;
        listener.url.scheme = config::Scheme::mqtts;
        listener.tls.certificate_file = dir_.file("server.crt");
        listener.tls.key_file = dir_.file("server.key");
        listener.tls.client_certificate = config::ClientCertificate::optional;
        listener.tls.client_ca_file = dir_.write("ca.crt", maker_.authority().certificate);
        listeners_.push_back(listener);
        put_certificate(100 * kDay);
        auto door = make_door(listener);
        if (!door) throw std::runtime_error{door.error().what};
        doors_.push_back(*std::move(door));
    }
    ~CertificateWatchTest() override { log_start({}); }
    CertificateWatchTest(const CertificateWatchTest&) = delete;
    CertificateWatchTest& operator=(const CertificateWatchTest&) = delete;

    void put_certificate(std::chrono::hours life) {
        const auto pair = *maker_.for_server(std::vector<std::string>{"localhost"}, life);
        (void)dir_.write("server.crt", pair.certificate);
        (void)dir_.write("server.key", pair.key);
    }
    void look(std::chrono::seconds later = 0s) { watch_.look(listeners_, now_ + later); }
    [[nodiscard]] const server::TlsContext* in_force() const {
        return doors_.front().certificates->get().get();
    }
    /// What has been logged since this was asked last.
    [[nodiscard]] std::string said() {
        std::ostringstream all;
        all << std::ifstream{dir_.file("log")}.rdbuf();
        const std::string fresh = all.str().substr(read_);
        read_ += fresh.size();
        return fresh;
    }

    kit::TempDir dir_;
    Descriptor log_;
    std::size_t read_ = 0;
    CertificateMaker maker_ = *CertificateMaker::make("test authority", 1000 * kDay);
    const WallTime now_{std::chrono::milliseconds{wall_clock_unix_ms()}};
    std::vector<config::ListenerOptions> listeners_;
    std::vector<std::string> urls_{"mqtts://localhost:8883"};
    std::vector<server::Door> doors_;
    CertificateWatch watch_{urls_, doors_};
};

TEST_F(CertificateWatchTest, TakesWhatIsNew) {
    look();
    const auto* before = in_force();
    look();
    EXPECT_EQ(in_force(), before);
    EXPECT_THAT(said(), IsEmpty());
    put_certificate(200 * kDay);
    look();
    EXPECT_NE(in_force(), before);
    EXPECT_THAT(said(), HasSubstr("certificates_renewed"));
}

TEST_F(CertificateWatchTest, KeepsWhatLetsClientsInAndTriesAgain) {
    look();
    const auto* before = in_force();
    put_certificate(0h);  // ended as soon as it was made
    look(10s);
    EXPECT_EQ(in_force(), before);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_kept"), HasSubstr("has ended")));
    EXPECT_FALSE(watch_.would_take(listeners_, now_ + 10s));
    look(20s);
    look(5min);
    EXPECT_THAT(said(), IsEmpty());
    // Its time comes (here by setting the clock), and no file has changed meanwhile.
    look(-30min);
    EXPECT_NE(in_force(), before);
    EXPECT_THAT(said(), HasSubstr("certificates_renewed"));
}

// Whoever reloads for another reason is not hindered by what is as bad as before.
TEST_F(CertificateWatchTest, WhatIsNoWorseIsTaken) {
    look();
    const auto late = 101 * kDay;
    put_certificate(100 * kDay);
    EXPECT_TRUE(watch_.would_take(listeners_, now_ + late));
    look(late);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_renewed"), HasSubstr("certificate_expired")));
}

TEST_F(CertificateWatchTest, WarnsOnceADayAndAtEachRenewal) {
    look(80 * kDay);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificate_expires"), HasSubstr("\"days\":19")));
    look(80 * kDay + 5s);
    look(80 * kDay + 23h);
    EXPECT_THAT(said(), IsEmpty());
    look(81 * kDay);
    EXPECT_THAT(said(), HasSubstr("certificate_expires"));
    put_certificate(100 * kDay);
    look(81 * kDay + 5s);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_renewed"), HasSubstr("certificate_expires")));
    look(100 * kDay + 1h);
    EXPECT_THAT(said(), HasSubstr("certificate_expired"));
}

TEST_F(CertificateWatchTest, AnAuthorityThatLetsNobodyInIsNotTaken) {
    look();
    const auto* before = in_force();
    (void)dir_.write("ca.crt", maker_.for_client("phone", kDay)->certificate);
    const auto usable = watch_.would_take(listeners_, now_);
    ASSERT_FALSE(usable);
    EXPECT_EQ(usable.error().file, dir_.file("ca.crt"));
    EXPECT_EQ(tls_key(usable.error().file, listeners_.front().tls, 0), "listener.0.tls.client_ca");
    look();
    EXPECT_EQ(in_force(), before);
    EXPECT_THAT(said(), HasSubstr("is not for authorities"));
}

}  // namespace
}  // namespace stentor::app
