#include "auth/scram.hpp"

#include "base/base64.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

// RFC 7677, section 3: user "user", password "pencil".
constexpr std::string_view kSalt = "W22ZaJ0SNY7soEsUEjb6gQ==";
constexpr std::uint32_t kIterations = 4096;

Bytes exclusive_or(Bytes a, const Bytes& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] ^= b[i];
    return a;
}

std::string line_of(std::string_view user, std::string_view password) {
    const ScramKeys keys = scram_keys(password, *from_base64(kSalt), kIterations);
    return std::string{user} + ":$scram-sha-256$" + std::to_string(kIterations) + '$' +
           std::string{kSalt} + '$' + base64(keys.stored_key) + '$' + base64(keys.server_key) +
           '\n';
}

std::shared_ptr<const Chain> chain_of(std::string_view text, std::vector<std::string> admins = {}) {
    auto file = std::make_shared<const PasswordFile>(*PasswordFile::parse(text));
    std::vector<std::unique_ptr<const Method>> methods;
    methods.push_back(std::make_unique<ScramSha256>(std::move(file)));
    return std::make_shared<const Chain>(
        std::vector<std::unique_ptr<const Authenticator>>{}, std::move(admins), std::move(methods));
}

/// One exchange, and the client's side of it.
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): final, and never deleted by its base
class Talk final : private DecisionSink {
  public:
    explicit Talk(std::shared_ptr<const Chain> chain)
        : chain_{std::move(chain)}, exchange_{chain_->method(kScramSha256)->begin({})} {}

    Decision say(std::string_view data) {
        answer_.reset();
        exchange_->next(data, Turn{chain_, 1, *this});
        EXPECT_TRUE(answer_.has_value());
        return *answer_;
    }

    /// client-final-message to the server's first, as the RFC says.
    static std::string final_message(std::string_view bare,
                                     std::string_view server_first,
                                     std::string_view password) {
        const auto salt_at = server_first.find(",s=");
        const auto count_at = server_first.find(",i=");
        const auto salt = from_base64(server_first.substr(salt_at + 3, count_at - salt_at - 3));
        const auto count = std::stoul(std::string{server_first.substr(count_at + 3)});
        const ScramKeys keys = scram_keys(password, *salt, static_cast<std::uint32_t>(count));
        const std::string head = "c=biws," + std::string{server_first.substr(0, salt_at)};
        const std::string auth_message =
            std::string{bare} + ',' + std::string{server_first} + ',' + head;
        return head + ",p=" +
               base64(exclusive_or(keys.client_key, hmac_sha256(keys.stored_key, auth_message)));
    }

    Decision run(std::string_view user, std::string_view password) {
        const std::string bare = "n=" + std::string{user} + ",r=abc";
        Decision first = say("n,," + bare);
        if (first.outcome != Outcome::challenged) return first;
        return say(final_message(bare, first.data, password));
    }

  private:
    void decided(Ticket /*ticket*/, Decision decision) noexcept override {
        EXPECT_FALSE(answer_.has_value());
        answer_ = std::move(decision);
    }

    std::shared_ptr<const Chain> chain_;
    std::unique_ptr<Exchange> exchange_;
    std::optional<Decision> answer_;
};

TEST(Scram, ComputesWhatTheRfcSays) {
    const ScramKeys keys = scram_keys("pencil", *from_base64(kSalt), kIterations);
    const std::string auth_message =
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    EXPECT_EQ(base64(exclusive_or(keys.client_key, hmac_sha256(keys.stored_key, auth_message))),
              "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    EXPECT_EQ(base64(hmac_sha256(keys.server_key, auth_message)),
              "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, AcceptsTheRightPasswordAndProvesThatItKnowsTheUser) {
    const auto chain = chain_of(line_of("user", "pencil"), {"password:user"});
    Talk talk{chain};
    const std::string bare = "n=user,r=abc";
    const Decision first = talk.say("n,," + bare);
    ASSERT_EQ(first.outcome, Outcome::challenged);
    EXPECT_TRUE(first.data.starts_with("r=abc"));
    EXPECT_NE(first.data.find(",s=" + std::string{kSalt} + ",i=4096"), std::string::npos);
    const std::string last = Talk::final_message(bare, first.data, "pencil");
    const Decision decision = talk.say(last);
    ASSERT_EQ(decision.outcome, Outcome::accepted);
    EXPECT_EQ(decision.principal.name, "user");
    EXPECT_EQ(decision.principal.authenticator, "password");
    EXPECT_TRUE(decision.principal.is_admin);
    const ScramKeys keys = scram_keys("pencil", *from_base64(kSalt), kIterations);
    const std::string auth_message =
        bare + ',' + first.data + ',' + last.substr(0, last.rfind(",p="));
    EXPECT_EQ(decision.data, "v=" + base64(hmac_sha256(keys.server_key, auth_message)));
}

TEST(Scram, DeniesWrongPasswords) {
    const auto chain = chain_of(line_of("user", "pencil"));
    EXPECT_EQ(Talk{chain}.run("user", "pencil").outcome, Outcome::accepted);
    EXPECT_EQ(Talk{chain}.run("user", "Pencil").outcome, Outcome::bad_credentials);
    EXPECT_EQ(Talk{chain}.run("nobody", "pencil").outcome, Outcome::bad_credentials);
}

TEST(Scram, TellsNobodyWhoExists) {
    const std::string text = with_decoy_key(line_of("user", "pencil"));
    const auto salt_of = [](const std::string& file, const std::string& user) {
        const std::string first = Talk{chain_of(file)}.say("n,,n=" + user + ",r=abc").data;
        return first.substr(first.find(",s="));
    };
    // The same at every start of the broker, another for every name, and shaped like a real one.
    EXPECT_EQ(salt_of(text, "nobody"), salt_of(text, "nobody"));
    EXPECT_NE(salt_of(text, "nobody"), salt_of(text, "somebody"));
    EXPECT_EQ(salt_of(text, "nobody").size(), salt_of(text, "user").size());
    EXPECT_EQ(salt_of(text, "nobody"), salt_of(text + line_of("more", "x"), "nobody"));
    EXPECT_EQ(with_decoy_key(text), text);
    // A user with another kind of hash has no SCRAM keys, and looks like nobody.
    const std::string other = text + "anna:$6$AAAAAAAAAAAAAAAA$" + std::string(86, 'A') + "==\n";
    EXPECT_EQ(salt_of(other, "anna"), salt_of(text, "anna"));
    EXPECT_EQ(Talk{chain_of(other)}.run("anna", "pencil").outcome, Outcome::bad_credentials);
}

TEST(Scram, UnescapesNamesAndLetsTheServerSpeakFirst) {
    const auto chain = chain_of(line_of("a,b=c", "pencil"));
    EXPECT_EQ(Talk{chain}.run("a=2Cb=3Dc", "pencil").principal.name, "a,b=c");
    Talk talk{chain};
    const Decision nothing = talk.say("");
    EXPECT_EQ(nothing.outcome, Outcome::challenged);
    EXPECT_EQ(nothing.data, "");
    EXPECT_EQ(talk.run("a=2Cb=3Dc", "pencil").outcome, Outcome::accepted);
    Talk silent{chain};
    (void)silent.say("");
    EXPECT_EQ(silent.say("").outcome, Outcome::bad_credentials);
}

TEST(Scram, DeniesMessagesThatAreNone) {
    const auto chain = chain_of(line_of("user", "pencil"));
    for (const std::string first : {"n",
                                    "n,",
                                    "n,,",
                                    "x,,n=user,r=abc",
                                    "p=tls-unique,,n=user,r=abc",
                                    "n,a=other,n=user,r=abc",
                                    "n,,m=ext,n=user,r=abc",
                                    "n,,n=user",
                                    "n,,n=,r=abc",
                                    "n,,n=us=er,r=abc",
                                    "n,,n=user,r=",
                                    "n,,n=user,r=a\x01"}) {
        EXPECT_EQ(Talk{chain}.say(first).outcome, Outcome::bad_credentials) << first;
    }
    EXPECT_EQ(Talk{chain}.say("n,,n=user,r=" + std::string(5000, 'a')).outcome,
              Outcome::bad_credentials);
    const std::string bare = "n=user,r=abc";
    const auto spoilt = [&](const std::string& from, const std::string& to) {
        Talk talk{chain};
        std::string last = Talk::final_message(bare, talk.say("n,," + bare).data, "pencil");
        last.replace(last.find(from), from.size(), to);
        return talk.say(last).outcome;
    };
    EXPECT_EQ(spoilt("c=biws", "c=biws"), Outcome::accepted);
    EXPECT_EQ(spoilt("c=biws", "c=eSws"), Outcome::bad_credentials);  // "y,,"
    EXPECT_EQ(spoilt("r=abc", "r=abd"), Outcome::bad_credentials);
    EXPECT_EQ(spoilt(",p=", ",q="), Outcome::bad_credentials);
    EXPECT_EQ(spoilt(",p=", ",p=A"), Outcome::bad_credentials);
}

TEST(Scram, UsersCanStillComeWithTheirPassword) {
    const auto hash = PasswordHash::make_scram("correct horse");
    ASSERT_TRUE(hash.has_value());
    EXPECT_TRUE(hash->verify("correct horse"));
    EXPECT_FALSE(hash->verify("wrong"));
    EXPECT_FALSE(hash->decoy().verify("correct horse"));
    const auto again = PasswordHash::parse(hash->encoded());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->encoded(), hash->encoded());
    EXPECT_TRUE(PasswordHash::make_scram("a\nb").has_error());
    for (const char* wrong : {"$scram-sha-256$",
                              "$scram-sha-256$0$AAAA$AAAA$AAAA",
                              "$scram-sha-256$4096$AAAA$AAAA$AAAA",
                              "$scram-sha-256$4096$!$AAAA$AAAA"}) {
        EXPECT_TRUE(PasswordHash::parse(wrong).has_error()) << wrong;
    }
}

/// Forgets to answer.
class Silent final : public Exchange {
  public:
    void next(std::string_view /*data*/, Turn turn) override {
        const Turn dropped{std::move(turn)};
    }
};

TEST(Turn, IsDecidedEvenIfNobodyAnswers) {
    // NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor)
    struct Sink final : DecisionSink {
        void decided(Ticket ticket, Decision decision) noexcept override {
            EXPECT_EQ(ticket, 7U);
            outcomes.push_back(decision.outcome);
        }
        std::vector<Outcome> outcomes;
    } sink;
    Silent silent;
    silent.next("", Turn{chain_of(""), 7, sink});
    EXPECT_EQ(sink.outcomes, std::vector{Outcome::unavailable});
}

TEST(Chain, KnowsItsMethods) {
    EXPECT_NE(chain_of("")->method("SCRAM-SHA-256"), nullptr);
    EXPECT_EQ(chain_of("")->method("SCRAM-SHA-1"), nullptr);
}

}  // namespace
}  // namespace stentor::auth
