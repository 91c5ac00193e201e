#include "server/transport/tls_review.hpp"

#include "auth/certificate_maker.hpp"
#include "base/clock.hpp"
#include "server/transport/tls_context.hpp"
#include "tests/kit/authority_below.hpp"
#include "tests/kit/revocation_list.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;
using auth::CertificateMaker;
using kit::revocation_list;
using testing::Each;
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

TEST_F(TlsReviewTest, AnAuthorityThatItsOwnMustNotHaveSignedLetsNobodyIn) {
    const CertificateMaker below = kit::authority_below(maker_, "below", kLife);
    ask_clients(maker_.authority().certificate + below.authority().certificate);
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::client_ca_unfit, Weight::warning)));
    EXPECT_THAT(findings().front().problem.what, HasSubstr("pathLenConstraint"));
    const CertificateMaker root = kit::authority_above("root", kLife);
    const CertificateMaker middle = kit::authority_below(root, "middle", kLife);
    ask_clients(root.authority().certificate + middle.authority().certificate);
    EXPECT_THAT(told(), IsEmpty());
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

/// What OpenSSL says to a client's certificate is what the review has said that it would.
class RevocationTest : public TlsReviewTest {
  protected:
    /// Whether the client that shows `certificate`, with `more` behind it, comes in.
    [[nodiscard]] bool lets_in(const std::string& certificate, const std::string& more = {}) const {
        const auto context = TlsContext::load(options_, nullptr);
        if (!context) throw std::runtime_error{context.error().what};
        const std::unique_ptr<SSL, decltype(&::SSL_free)> connection{(*context)->new_connection(),
                                                                     ::SSL_free};
        X509_STORE* store = ::SSL_CTX_get_cert_store(::SSL_get_SSL_CTX(connection.get()));
        const Certificate leaf = certificate_of(certificate);
        const Certificate middle =
            more.empty() ? Certificate{nullptr, ::X509_free} : certificate_of(more);
        STACK_OF(X509)* shown = sk_X509_new_null();
        if (middle) sk_X509_push(shown, middle.get());
        X509_STORE_CTX* check = ::X509_STORE_CTX_new();
        ::X509_STORE_CTX_init(check, store, leaf.get(), shown);
        const bool good = ::X509_verify_cert(check) == 1;
        ::X509_STORE_CTX_free(check);
        sk_X509_free(shown);
        return good;
    }
    [[nodiscard]] std::string client_of(const CertificateMaker& authority) const {
        return authority.for_client("phone", kDay)->certificate;
    }
    [[nodiscard]] static std::string pem(const CertificateMaker& authority) {
        return authority.authority().certificate;
    }

    const CertificateMaker other_ = *CertificateMaker::make("clients 2", 2 * kLife);
    static constexpr std::chrono::seconds kPast = -60s;

  private:
    using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;

    static Certificate certificate_of(const std::string& text) {
        const std::unique_ptr<BIO, decltype(&::BIO_free)> in{
            ::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), ::BIO_free};
        return {::PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), ::X509_free};
    }
};

TEST_F(RevocationTest, AListThatIsOutOfDateLocksOutTheClientsOfItsAuthority) {
    ask_clients(pem(maker_) + pem(other_),
                revocation_list(maker_, kPast) + revocation_list(other_, 10 * kDay));
    EXPECT_FALSE(lets_in(client_of(maker_)));
    EXPECT_TRUE(lets_in(client_of(other_)));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_some_out)));
    ask_clients(pem(maker_) + pem(other_),
                revocation_list(maker_, kPast) + revocation_list(other_, kPast));
    EXPECT_FALSE(lets_in(client_of(other_)));
    EXPECT_THAT(told(), Each(Pair(Kind::revocation_list_expired, Weight::locks_out)));
    EXPECT_EQ(told().size(), 2U);
}

TEST_F(RevocationTest, NobodyIsLockedOutByAListThatNobodyIsLookedUpIn) {
    // Of a stranger.
    ask_clients(pem(maker_), revocation_list(maker_, 10 * kDay) + revocation_list(other_, kPast));
    EXPECT_TRUE(lets_in(client_of(maker_)));
    EXPECT_THAT(told(),
                ElementsAre(Pair(Kind::revocation_list_foreign, Weight::warning),
                            Pair(Kind::revocation_list_expired, Weight::warning)));
    // Of an authority that has ended, and lets nobody in by itself.
    const CertificateMaker ended = *CertificateMaker::make("ended", 0h);
    ask_clients(pem(maker_) + pem(ended),
                revocation_list(maker_, 10 * kDay) + revocation_list(ended, kPast));
    EXPECT_TRUE(lets_in(client_of(maker_)));
    EXPECT_THAT(told(1s),
                ElementsAre(Pair(Kind::client_ca_expired, Weight::warning),
                            Pair(Kind::revocation_list_expired, Weight::warning)));
}

TEST_F(RevocationTest, OfAnAuthoritysListsTheOneWhoseTimeItIsCounts) {
    const std::string now = revocation_list(maker_, 10 * kDay);
    const std::string past = revocation_list(maker_, kPast);
    for (const std::string& lists : {now + past, past + now}) {
        ask_clients(pem(maker_), lists);
        EXPECT_TRUE(lets_in(client_of(maker_)));
        EXPECT_THAT(told(), IsEmpty());
        EXPECT_THAT(told(11 * kDay),
                    ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_out)));
    }
}

TEST_F(RevocationTest, ListsOfThoseInTheMiddleCountOnceEachAuthorityHasOne) {
    const CertificateMaker root = kit::authority_above("root", kLife);
    const CertificateMaker middle = kit::authority_below(root, "middle", kLife);
    const std::string both = pem(root) + pem(middle);
    const std::string client = client_of(middle);
    ask_clients(both, revocation_list(root, 10 * kDay) + revocation_list(middle, 10 * kDay));
    EXPECT_TRUE(lets_in(client));
    EXPECT_THAT(told(), IsEmpty());
    ask_clients(
        both, revocation_list(root, 10 * kDay, {pem(middle)}) + revocation_list(middle, 10 * kDay));
    EXPECT_FALSE(lets_in(client)) << "whole chains are looked up";
    // Out of date is the one above, the one below.
    ask_clients(both, revocation_list(root, kPast) + revocation_list(middle, 10 * kDay));
    EXPECT_FALSE(lets_in(client));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_out)));
    ask_clients(both, revocation_list(root, 10 * kDay) + revocation_list(middle, kPast));
    EXPECT_FALSE(lets_in(client));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_out)));
}

TEST_F(RevocationTest, WhoIsInTheMiddleNeedsNoListWhileOnlyClientsAreLookedUp) {
    const CertificateMaker root = kit::authority_above("root", kLife);
    const CertificateMaker middle = kit::authority_below(root, "middle", kLife);
    ask_clients(pem(root) + pem(middle) + pem(other_),
                revocation_list(middle, 10 * kDay) + revocation_list(other_, kPast));
    EXPECT_TRUE(lets_in(client_of(middle)));
    EXPECT_FALSE(lets_in(client_of(other_)));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_expired, Weight::locks_some_out)));
    // A list of the same name that another key has signed does not count for one of each.
    const CertificateMaker namesake = *CertificateMaker::make("root", kLife);
    ask_clients(pem(root) + pem(middle),
                revocation_list(middle, 10 * kDay) + revocation_list(namesake, 10 * kDay));
    EXPECT_TRUE(lets_in(client_of(middle)));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_foreign, Weight::warning)));
}

// Clients may bring authorities of the middle with them, whose lists nobody can verify before.
TEST_F(RevocationTest, AListOfWhomClientsBringAlongIsLookedUpAsWell) {
    const CertificateMaker root = kit::authority_above("root", kLife);
    const CertificateMaker middle = kit::authority_below(root, "middle", kLife);
    ask_clients(pem(root), revocation_list(root, 10 * kDay) + revocation_list(middle, 10 * kDay));
    EXPECT_THAT(told(), ElementsAre(Pair(Kind::revocation_list_foreign, Weight::warning)));
    EXPECT_TRUE(lets_in(client_of(middle), pem(middle)));
}

TEST_F(RevocationTest, WhatIsSaidOfTwoInOneFileIsToldApart) {
    const CertificateMaker namesake = *CertificateMaker::make("clients 1", 2 * kLife);
    ask_clients(pem(maker_) + pem(namesake) + pem(other_),
                revocation_list(maker_, kPast) + revocation_list(namesake, kPast) +
                    revocation_list(other_, 10 * kDay));
    const auto lists = findings();
    ASSERT_EQ(lists.size(), 2U);
    EXPECT_NE(lists[0].subject, lists[1].subject);
    const auto authorities = findings(2 * kLife - 10 * kDay - 1h);
    std::set<std::string> subjects;
    for (const TlsFinding& each : authorities) {
        if (each.kind == Kind::client_ca_expires) subjects.insert(each.subject);
    }
    EXPECT_EQ(subjects.size(), 3U);
}

TEST_F(TlsReviewTest, WhatNobodyCanTellApartIsAlike) {
    const auto load = [this] { return *TlsContext::load(options_, nullptr); };
    ask_clients(maker_.authority().certificate, revocation_list(maker_, 10 * kDay));
    const auto first = load();
    EXPECT_TRUE(first->is_like(*load()));
    (void)dir_.write("crl.pem", revocation_list(maker_, 11 * kDay));
    const auto second = load();
    EXPECT_FALSE(first->is_like(*second));
    options_.version_min = TlsVersion::tls1_3;
    const auto third = load();
    EXPECT_FALSE(second->is_like(*third));
    options_.client_certificates = ClientCertificates::optional;
    EXPECT_FALSE(third->is_like(*load()));
    const auto fourth = load();
    write_pair("server", *maker_.for_server(std::vector<std::string>{"localhost"}, kLife));
    EXPECT_FALSE(fourth->is_like(*load()));
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
