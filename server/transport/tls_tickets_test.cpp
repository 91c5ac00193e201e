#include "server/transport/tls_tickets.hpp"

#include "auth/certificate_maker.hpp"
#include "base/clock.hpp"
#include "server/transport/tls_context.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;
using Ssl = std::unique_ptr<SSL, decltype(&::SSL_free)>;
using Session = std::unique_ptr<SSL_SESSION, decltype(&::SSL_SESSION_free)>;

constexpr std::chrono::hours kClientLife{1};
std::int64_t test_time = 0;
const TicketClock kTestClock{[]() noexcept { return test_time; }};

/// Each version, with and without a client's certificate, which is good for an hour.
struct Way {
    int version;
    bool shows_certificate;
};

class TlsTicketsTest : public testing::TestWithParam<Way> {
  protected:
    TlsTicketsTest() {
        test_time = wall_clock_unix_ms() / 1000;
        const auto server = *maker_.for_server(std::vector<std::string>{"localhost"}, 24h);
        const auto client = *maker_.for_client("phone-7", kClientLife);
        TlsOptions options;
        options.certificates = {
            {dir_.write("server.crt", server.certificate), dir_.write("server.key", server.key)}};
        options.client_ca_file = dir_.write("ca.crt", maker_.authority().certificate);
        if (GetParam().shows_certificate) {
            options.client_certificates = ClientCertificates::required;
            (void)::SSL_CTX_use_certificate_chain_file(
                client_.get(), dir_.write("client.crt", client.certificate).c_str());
            (void)::SSL_CTX_use_PrivateKey_file(
                client_.get(), dir_.write("client.key", client.key).c_str(), SSL_FILETYPE_PEM);
        }
        context_ = *TlsContext::load(options, nullptr);
        (void)SSL_CTX_set_min_proto_version(client_.get(), GetParam().version);
        (void)SSL_CTX_set_max_proto_version(client_.get(), GetParam().version);
    }

    /// Whether a client with the last ticket resumed; it has the next one afterwards.
    bool resumes() {
        const Ssl server{context_->new_connection(), ::SSL_free};
        const Ssl client{::SSL_new(client_.get()), ::SSL_free};
        bound_tickets(::SSL_get_SSL_CTX(server.get()), kTestClock);
        BIO* ours = nullptr;
        BIO* theirs = nullptr;
        (void)::BIO_new_bio_pair(&ours, 65536, &theirs, 65536);
        ::SSL_set_bio(server.get(), ours, ours);
        ::SSL_set_bio(client.get(), theirs, theirs);
        ::SSL_set_accept_state(server.get());
        ::SSL_set_connect_state(client.get());
        if (ticket_) (void)::SSL_set_session(client.get(), ticket_.get());
        std::array<char, 16> nothing{};
        for (int i = 0; i < 10; ++i) {
            (void)::SSL_do_handshake(client.get());
            (void)::SSL_do_handshake(server.get());
            if (::SSL_is_init_finished(client.get()) == 0) continue;
            (void)::SSL_read(client.get(), nothing.data(), 1);  // the ticket of TLS 1.3
        }
        EXPECT_EQ(::SSL_is_init_finished(server.get()), 1);
        // OpenSSL's client resumes nothing that ended without a farewell.
        ::SSL_set_shutdown(client.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        ticket_.reset(::SSL_get1_session(client.get()));
        EXPECT_EQ(::SSL_SESSION_has_ticket(ticket_.get()), 1);
        return ::SSL_session_reused(server.get()) == 1;
    }
    static void pass(std::chrono::seconds time) { test_time += time.count(); }

  private:
    kit::TempDir dir_;
    auth::CertificateMaker maker_ = *auth::CertificateMaker::make("test authority", 24h);
    std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> client_{
        ::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free};
    std::shared_ptr<const TlsContext> context_;
    Session ticket_{nullptr, ::SSL_SESSION_free};
};

TEST_P(TlsTicketsTest, AChainOfResumptionsEndsTwoHoursAfterItBegan) {
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
    for (int i = 0; i < 5; ++i) {
        pass(10min);
        EXPECT_TRUE(resumes());
    }
    if (!GetParam().shows_certificate) {
        pass(69min);
        EXPECT_TRUE(resumes());
        pass(1min);
    } else {
        pass(70min);
    }
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes() || GetParam().shows_certificate);
}

TEST_P(TlsTicketsTest, ACertificateThatHasEndedResumesNothing) {
    EXPECT_FALSE(resumes());
    pass(59min);
    EXPECT_TRUE(resumes());
    pass(2min);
    EXPECT_EQ(resumes(), !GetParam().shows_certificate);
}

TEST_P(TlsTicketsTest, AClockThatWasSetBackCostsAHandshake) {
    EXPECT_FALSE(resumes());
    pass(-1s);
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
}

INSTANTIATE_TEST_SUITE_P(EachVersion,
                         TlsTicketsTest,
                         testing::Values(Way{TLS1_2_VERSION, false},
                                         Way{TLS1_2_VERSION, true},
                                         Way{TLS1_3_VERSION, false},
                                         Way{TLS1_3_VERSION, true}));

}  // namespace
}  // namespace stentor::server
