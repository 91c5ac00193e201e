#pragma once
// The links of the chain that this version has: the password file, and clients without a name.
// Immutable; asked on any thread.

#include "auth/authenticator.hpp"
#include "auth/executor.hpp"
#include "auth/password_file.hpp"

#include <memory>
#include <string_view>

namespace stentor::auth {

/// Accepts users of the file. Clients without user name or password are passed on, and so are
/// wrong ones (after the same time as right ones): a later link may know them.
class PasswordAuthenticator final : public Authenticator {
  public:
    /// Hashing runs on `executor`, which must outlive all requests. Where that has no room the
    /// client is sent away without an answer (Outcome::overloaded).
    PasswordAuthenticator(std::shared_ptr<const PasswordFile> file, Executor& executor);

    [[nodiscard]] std::string_view name() const noexcept override { return "password"; }
    void ask(Request request) const override;
    /// The line of the file.
    [[nodiscard]] std::uint64_t voucher(std::string_view name, Locality locality) const override;

  private:
    std::shared_ptr<const PasswordFile> file_;  // a job under way keeps it past a reload
    Executor& executor_;
};

/// Accepts whoever has shown a client certificate that the listener's authorities vouch for, under
/// its common name, whatever user name CONNECT gives. Others are passed on.
class CertificateAuthenticator final : public Authenticator {
  public:
    [[nodiscard]] std::string_view name() const noexcept override { return "certificate"; }
    void ask(Request request) const override;
    /// A handshake is not repeated: who has shown one stays. Whether he is an administrator may
    /// change, though.
    [[nodiscard]] std::uint64_t voucher(std::string_view name, Locality locality) const override;
};

/// Whom the anonymous policy lets in. auth.anonymous of the configuration.
enum class Anonymous : std::uint8_t { never, loopback, always };

/// What somebody who gives a user name is, where no authenticator knows any.
enum class UnverifiedNames : std::uint8_t {
    refused,  // there are authenticators, and none vouched for the name
    ignored,  // there are none: the client is anonymous, as in Mosquitto
};

/// The last link. Anonymous clients have an empty name, whatever name they gave.
class AnonymousAuthenticator final : public Authenticator {
  public:
    AnonymousAuthenticator(Anonymous policy, UnverifiedNames names) noexcept
        : policy_{policy}, names_{names} {}

    [[nodiscard]] std::string_view name() const noexcept override { return "anonymous"; }
    void ask(Request request) const override;
    [[nodiscard]] std::uint64_t voucher(std::string_view name, Locality locality) const override;

  private:
    [[nodiscard]] bool welcomes(Locality locality) const noexcept;

    Anonymous policy_;
    UnverifiedNames names_;
};

}  // namespace stentor::auth
