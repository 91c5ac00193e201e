#include "auth/authenticators.hpp"

#include "auth/request_job.hpp"

#include <utility>

namespace stentor::auth {
namespace {

class VerifyPassword final : public RequestJob {
  public:
    VerifyPassword(std::shared_ptr<const PasswordFile> file, Request request) noexcept
        : RequestJob{std::move(request)}, file_{std::move(file)} {}

    void run() override {
        const ConnectCredentials& credentials = request().credentials();
        if (file_->verify(*credentials.user, *credentials.password)) {
            std::string name = *credentials.user;
            std::move(request()).accept("password", std::move(name));
        } else {
            std::move(request()).pass_on();
        }
    }

  private:
    std::shared_ptr<const PasswordFile> file_;
};

}  // namespace

PasswordAuthenticator::PasswordAuthenticator(std::shared_ptr<const PasswordFile> file,
                                             Executor& executor)
    : file_{std::move(file)}, executor_{executor} {}

void PasswordAuthenticator::ask(Request request) const {
    if (!request.credentials().user || !request.credentials().password) {
        std::move(request).pass_on();
        return;
    }
    executor_.post(std::make_unique<VerifyPassword>(file_, std::move(request)));
}

std::uint64_t PasswordAuthenticator::voucher(std::string_view name, Locality /*locality*/) const {
    return file_->voucher(name);
}

void CertificateAuthenticator::ask(Request request) const {
    if (request.credentials().certificate_name.empty()) {
        std::move(request).pass_on();
        return;
    }
    std::string name = request.credentials().certificate_name;
    std::move(request).accept("certificate", std::move(name));
}

std::uint64_t CertificateAuthenticator::voucher(std::string_view /*name*/,
                                                Locality /*locality*/) const {
    constexpr std::uint64_t kCertificate = 4;
    return kCertificate;
}

bool AnonymousAuthenticator::welcomes(Locality locality) const noexcept {
    return policy_ == Anonymous::always ||
           (policy_ == Anonymous::loopback && locality == Locality::loopback);
}

std::uint64_t AnonymousAuthenticator::voucher(std::string_view name, Locality locality) const {
    constexpr std::uint64_t kNobody = 1;
    return name.empty() && welcomes(locality) ? kNobody : 0;
}

void AnonymousAuthenticator::ask(Request request) const {
    const ConnectCredentials& credentials = request.credentials();
    if (credentials.user && names_ == UnverifiedNames::refused) {
        std::move(request).pass_on();
        return;
    }
    if (welcomes(credentials.locality)) {
        std::move(request).accept("anonymous", {});
        return;
    }
    std::move(request).deny(Outcome::not_authorised,
                            policy_ == Anonymous::loopback
                                ? "anonymous clients are welcome on loopback listeners only"
                                : "anonymous clients are not welcome");
}

}  // namespace stentor::auth
