#include "server/transport/tls_review.hpp"

#include "auth/certificate_maker.hpp"
#include "base/clock.hpp"
#include "server/transport/tls_context.hpp"
#include "tests/kit/revocation_list.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;
using auth::CertificateMaker;
using kit::revocation_list;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using Kind = TlsFinding::Kind;
using Weight = TlsFinding::Weight;

constexpr std::chrono::hours kDay{24};
constexpr std::chrono::hours kYear = 365 * kDay;

using Told = std::vector<std::pair<Kind, Weight>>;

class TlsReviewTest : public testing::Test {
  protected:
    TlsReviewTest() {
        write_pair("server", *maker_.for_server(std::vector<std::string>{"localhost"}, kLife));
        options_.certificates = {{dir_.file("server.crt"), dir_.file("server.key")}};
    }
    void write_pair(const std::string& name, const auth::CertificateAndKey& pair) const {
        (void)dir_.write(name + ".crt", pair.certificate);
        (void)dir_.write(name + ".key", pair.key);
    }
    void add_pair(const std::string& name, const std::vector<std::string>& hosts) {
        write_pair(name, *maker_.for_server(hosts, kLife));
        options_.certificates.push_back({dir_.file(name + ".crt"), dir_.file(name + ".key")});
    }
    void ask_clients(const std::string& authorities, const std::string& lists = {}) {
        options_.client_certificates = ClientCertificates::required;
        options_.client_ca_file = dir_.write("ca.crt", authorities);
        if (!lists.empty()) options_.client_crl_file = dir_.write("crl.pem", lists);
    }
    [[nodiscard]] std::vector<TlsFinding> findings(std::chrono::seconds later = 0s) const {
        const auto context = TlsContext::load(options_, nullptr);
        if (!context) throw std::runtime_error{context.error().what};
        return (*context)->review().at(now_ + later);
    }
    [[nodiscard]] Told told(std::chrono::seconds later = 0s) const {
        Told all;
        for (const TlsFinding& each : findings(later)) all.emplace_back(each.kind, each.weight);
        return all;
    }
    [[nodiscard]] std::string refused() const {
        const auto context = TlsContext::load(options_, nullptr);
        return context ? "nothing" : context.error().what + " / " + context.error().hint;
    }

    static constexpr std::chrono::hours kLife = kYear;
    kit::TempDir dir_;
    const WallTime now_{std::chrono::milliseconds{wall_clock_unix_ms()}};
    CertificateMaker maker_ = *CertificateMaker::make("clients 1", 2 * kLife);
    TlsOptions options_;
};

TEST_F(TlsReviewTest, ACertificateIsWatchedOverItsWholeLife) {
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(told(-2h), ElementsAre(Pair(Kind::certificate_not_yet_valid, Weight::locks_out)));
    EXPECT_THAT(told(kLife - 31 * kDay), IsEmpty());
    EXPECT_THAT(told(kLife - 29 * kDay),
                ElementsAre(Pair(Kind::certificate_expires, Weight::warning)));
    const auto soon = findings(kLife - 8 * kDay - 1h);
    EXPECT_THAT(soon.front().problem.what, HasSubstr("server.crt ends in 8 days (20"));
    EXPECT_EQ(soon.front().days, 8);
    EXPECT_THAT(told(kLife + 1s), ElementsAre(Pair(Kind::certificate_expired, Weight::locks_out)));
    EXPECT_EQ(findings(kLife + 1s).front().problem.file, dir_.file("server.crt"));
}

// What lives for a day is renewed within that day, and nobody wants to be warned of it.
TEST_F(TlsReviewTest, WhatIsShortLivedIsWarnedOfInItsLastThird) {
    write_pair("server", *maker_.for_server(std::vector<std::string>{"localhost"}, kDay));
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(told(14h), IsEmpty());
    EXPECT_THAT(told(17h), ElementsAre(Pair(Kind::certificate_expires, Weight::warning)));
}

TEST_F(TlsReviewTest, ChainsAreWatchedToo) {
    const auto authority = CertificateMaker::make("above", kDay)->authority();
    auto pair = *maker_.for_server(std::vector<std::string>{"localhost"}, kLife);
    pair.certificate += authority.certificate;
    write_pair("server", pair);
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(told(20h), ElementsAre(Pair(Kind::chain_expires, Weight::warning)));
    EXPECT_THAT(told(25h), ElementsAre(Pair(Kind::chain_expired, Weight::warning)));
    const auto context = *TlsContext::load(options_, nullptr);
    EXPECT_LT(context->review().ends(), now_ + 25h);
}

TEST_F(TlsReviewTest, ACertificateOfAClientIsNoServers) {
    write_pair("server", *maker_.for_client("phone", kLife));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::certificate_unfit, Weight::locks_out)));
}

TEST_F(TlsReviewTest, ACertificateThatNoNameLeadsToIsTold) {
    add_pair("other", {"other.test", "*.wild.test"});
    EXPECT_THAT(told(), IsEmpty());
    add_pair("half", {"LOCALHOST", "new.test"});
    add_pair("deep", {"a.b.wild.test"});
    EXPECT_THAT(told(), IsEmpty());
    for (const char* name : {"localhost", "a.wild.test", "*.wild.test"}) {
        SCOPED_TRACE(name);
        add_pair("again", {"OTHER.test", name});
        EXPECT_THAT(told(), ElementsAre(Pair(Kind::certificate_unused, Weight::warning)));
        EXPECT_THAT(findings().front().problem.what, HasSubstr("again.crt is never shown"));
        options_.certificates.pop_back();
    }
}

TEST_F(TlsReviewTest, AuthoritiesOfClientsAreWatched) {
    ask_clients(maker_.authority().certificate);
    const std::chrono::hours life = 2 * kLife;
    options_.certificates.front() = {dir_.file("long.crt"), dir_.file("long.key")};
    write_pair("long", *maker_.for_server(std::vector<std::string>{"localhost"}, 3 * kLife));
    EXPECT_THAT(told(life - 29 * kDay),
                ElementsAre(Pair(Kind::client_ca_expires, Weight::warning)));
    EXPECT_THAT(told(life + 1s), ElementsAre(Pair(Kind::client_ca_expired, Weight::locks_out)));
    EXPECT_EQ(findings(life + 1s).front().problem.file, dir_.file("ca.crt"));
    // While another lets its clients in.
    const auto young = *CertificateMaker::make("clients 2", 3 * kLife);
    ask_clients(maker_.authority().certificate + young.authority().certificate);
    EXPECT_THAT(told(life + 1s), ElementsAre(Pair(Kind::client_ca_expired, Weight::warning)));
}

TEST_F(TlsReviewTest, WhatIsNoAuthorityLetsNobodyIn) {
    ask_clients(maker_.for_client("phone", kLife)->certificate);
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::client_ca_unfit, Weight::locks_out)));
}

TEST_F(TlsReviewTest, AListOfItsAuthorityIsGoodUntilItsNextUpdate) {
    ask_clients(maker_.authority().certificate, revocation_list(maker_, 10 * kDay));
    EXPECT_THAT(told(), IsEmpty());
    EXPECT_THAT(told(-40min),
                ElementsAre(Pair(Kind::revocation_list_not_yet_valid, Weight::locks_out)));
    EXPECT_THAT(told(7 * kDay), IsEmpty());
    EXPECT_THAT(told(9 * kDay), ElementsAre(Pair(Kind::revocation_list_expires, Weight::warning)));
    EXPECT_THAT(told(11 * kDay),
                ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_out)));
    EXPECT_EQ(findings(11 * kDay).front().problem.file, dir_.file("crl.pem"));
    // A newer one behind it counts.
    ask_clients(maker_.authority().certificate,
                revocation_list(maker_, 10 * kDay) + revocation_list(maker_, 30 * kDay));
    EXPECT_THAT(told(11 * kDay), IsEmpty());
}

TEST_F(TlsReviewTest, AListOfAnotherAuthorityLetsNobodyIn) {
    // Of another name, and of the same with another key.
    for (const char* name : {"clients 2", "clients 1"}) {
        const auto other = *CertificateMaker::make(name, kLife);
        ask_clients(maker_.authority().certificate, revocation_list(other, 10 * kDay));
        EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_foreign, Weight::locks_out)));
        EXPECT_THAT(findings().front().problem.what, HasSubstr(name));
        // One authority goes, another comes.
        ask_clients(maker_.authority().certificate + other.authority().certificate,
                    revocation_list(other, 10 * kDay));
        EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_missing, Weight::warning)));
        ask_clients(maker_.authority().certificate + other.authority().certificate,
                    revocation_list(other, 10 * kDay) + revocation_list(maker_, 10 * kDay));
        EXPECT_THAT(told(), IsEmpty());
    }
}

TEST_F(TlsReviewTest, CiphersThatHideNothingAreRefused) {
    options_.ciphers = "ECDHE+AESGCM:eNULL:@SECLEVEL=0";
    EXPECT_THAT(refused(), HasSubstr("encrypts nothing"));
    options_.ciphers = "ECDHE+AESGCM:aNULL:!eNULL:@SECLEVEL=0";
    EXPECT_THAT(refused(), HasSubstr("pretend to be this server"));
    options_.ciphers = "eNULL:aNULL";  // the security level takes both away
    EXPECT_THAT(refused(), HasSubstr("no cipher is left for TLS 1.2"));
    options_.ciphers = "nonsense";
    EXPECT_THAT(refused(), HasSubstr("no cipher is left"));
    options_.ciphers = "ALL";
    EXPECT_EQ(refused(), "nothing");
    options_.ciphers = "eNULL";
    options_.version_min = TlsVersion::tls1_3;  // which has its own
    EXPECT_EQ(refused(), "nothing");
}

TEST_F(TlsReviewTest, ADirectoryIsCalledOne) {
    options_.certificates.front().certificate_file = dir_.path();
    EXPECT_THAT(refused(), HasSubstr("it is a directory / name a file in it"));
    options_.certificates.front() = {dir_.file("server.crt"), dir_.path()};
    EXPECT_THAT(refused(), HasSubstr("cannot use the key in"));
    EXPECT_THAT(refused(), HasSubstr("it is a directory"));
    options_.certificates.front() = {dir_.file("server.crt"), dir_.file("server.key")};
    ask_clients("x");
    options_.client_ca_file = dir_.path();
    EXPECT_THAT(refused(), HasSubstr("it is a directory"));
}

}  // namespace
}  // namespace stentor::server
