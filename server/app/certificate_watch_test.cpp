#include "server/app/certificate_watch.hpp"

#include "auth/certificate_maker.hpp"
#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/log.hpp"
#include "server/app/doors.hpp"
#include "tests/kit/revocation_list.hpp"
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
        (void)dir_.write("server.key", key_ = pair.key);
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
    std::string key_;
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
    const auto kept = watch_.renew(listeners_, now_);
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(kept.front().file, dir_.file("ca.crt"));
    EXPECT_EQ(tls_key(kept.front().file, listeners_.front().tls, 0), "listener.0.tls.client_ca");
    EXPECT_EQ(in_force(), before);
    EXPECT_THAT(kept.front().why.what, HasSubstr("is not for authorities"));
}

TEST_F(CertificateWatchTest, SaysThatSomethingIsNewOnlyIfItIs) {
    look();
    EXPECT_THAT(watch_.renew(listeners_, now_), IsEmpty());
    EXPECT_THAT(said(), IsEmpty());
    put_certificate(50 * kDay);
    EXPECT_THAT(watch_.renew(listeners_, now_), IsEmpty());
    EXPECT_THAT(said(), HasSubstr("certificates_renewed"));
    EXPECT_THAT(watch_.renew(listeners_, now_), IsEmpty());
    EXPECT_THAT(said(), IsEmpty());
}

TEST_F(CertificateWatchTest, WhyItKeepsTheOldIsSaidAgainEachDayAndWhenItIsAnotherReason) {
    look();
    (void)dir_.write("server.key", "nonsense");
    look(10s);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_kept"), HasSubstr("server.key")));
    look(2min);
    look(23h);
    EXPECT_THAT(said(), IsEmpty());
    look(25h);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_kept"), HasSubstr("server.key")));
    // The certificate that it has ends meanwhile, and the key is as bad as before.
    look(100 * kDay);
    EXPECT_THAT(said(), AllOf(HasSubstr("certificates_kept"), HasSubstr("certificate_expired")));
    (void)dir_.write("server.key", key_);
    look(100 * kDay + 10s);
    EXPECT_THAT(said(), HasSubstr("certificates_renewed")) << "it is what it was";
}

TEST_F(CertificateWatchTest, OfOneFileEachIsTold) {
    look();
    const CertificateMaker second = *CertificateMaker::make("test authority", 90 * kDay);
    const CertificateMaker third = *CertificateMaker::make("test authority", 80 * kDay);
    const auto late = 75 * kDay + 1h;
    const std::string first = maker_.authority().certificate;
    (void)dir_.write("ca.crt", first + second.authority().certificate);
    look(late);
    EXPECT_THAT(said(), AllOf(HasSubstr("client_ca_expires"), HasSubstr("\"days\":14")));
    (void)dir_.write("ca.crt",
                     first + second.authority().certificate + third.authority().certificate);
    look(late + 10s);
    EXPECT_THAT(said(), AllOf(HasSubstr("\"days\":14"), HasSubstr("\"days\":4")));
    look(late + 25h);
    EXPECT_THAT(said(), AllOf(HasSubstr("\"days\":13"), HasSubstr("\"days\":3")));
}

TEST_F(CertificateWatchTest, AListThatWouldLockOthersOutIsNotTaken) {
    const CertificateMaker other = *CertificateMaker::make("other", 1000 * kDay);
    listeners_.front().tls.client_ca_file =
        dir_.write("ca.crt", maker_.authority().certificate + other.authority().certificate);
    const auto lists = [&](std::chrono::seconds first, std::chrono::seconds second) {
        listeners_.front().tls.client_crl_file = dir_.write(
            "crl.pem", kit::revocation_list(maker_, first) + kit::revocation_list(other, second));
        return watch_.renew(listeners_, now_).size();
    };
    // At a start one that is out of date is a matter of those whom it locks out.
    listeners_.front().tls.client_crl_file = dir_.write(
        "crl.pem", kit::revocation_list(maker_, -60s) + kit::revocation_list(other, kDay));
    EXPECT_TRUE(make_door(listeners_.front()).has_value());
    EXPECT_EQ(lists(kDay, kDay), 0U);
    const auto* before = in_force();
    EXPECT_EQ(lists(-60s, kDay), 1U);
    EXPECT_EQ(in_force(), before);
    EXPECT_EQ(lists(kDay, kDay), 0U);
    // Once it has happened, it is no reason to keep the other's list from coming; its own is.
    watch_.look(listeners_, now_ + 2 * kDay);
    listeners_.front().tls.client_crl_file = dir_.write(
        "crl.pem", kit::revocation_list(maker_, kDay) + kit::revocation_list(other, 10 * kDay));
    EXPECT_EQ(watch_.renew(listeners_, now_ + 2 * kDay).size(), 0U);
    listeners_.front().tls.client_crl_file = dir_.write(
        "crl.pem", kit::revocation_list(maker_, 10 * kDay) + kit::revocation_list(other, kDay));
    EXPECT_EQ(watch_.renew(listeners_, now_ + 2 * kDay).size(), 1U);
}

}  // namespace
}  // namespace stentor::app
