#include "server/app/access.hpp"

#include "auth/scram.hpp"
#include "server/config/text_file.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace stentor::app {
namespace {

using config::Diagnostic;

/// `key` of the configuration names the file.
std::vector<Diagnostic> unreadable(std::string key, config::ValueError error) {
    return {Diagnostic{.source = std::move(key),
                       .place = {},
                       .line_text = {},
                       .what = std::move(error.what),
                       .hint = std::move(error.hint)}};
}

/// Whether the line may be shown: an ACL's may, a password file's may hold a password in clear.
enum class ShowLine : std::uint8_t { yes, no };

/// auth counts bytes, whoever looks for the place counts characters.
std::uint32_t characters(std::string_view bytes) noexcept {
    return static_cast<std::uint32_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

config::FilePlace place_of(const auth::FileError& error, std::string_view line) {
    const std::size_t begin = std::min<std::size_t>(error.column - 1, line.size());
    return {.line = error.line,
            .column = characters(line.substr(0, begin)) + 1,
            .length = characters(line.substr(begin, error.length))};
}

std::vector<Diagnostic> located(const std::string& path,
                                std::string_view text,
                                std::vector<auth::FileError> errors,
                                ShowLine show) {
    std::vector<Diagnostic> diagnostics;
    for (auth::FileError& error : errors) {
        const std::string_view line = config::line_of(text, error.line);
        Diagnostic diagnostic{.source = path,
                              .place = place_of(error, line),
                              .line_text = {},
                              .what = std::move(error.what),
                              .hint = std::move(error.hint)};
        if (show == ShowLine::yes) diagnostic.line_text = line;
        diagnostics.push_back(std::move(diagnostic));
    }
    return diagnostics;
}

auth::Anonymous policy_of(config::AnonymousPolicy policy) noexcept {
    switch (policy) {
        case config::AnonymousPolicy::never:
            return auth::Anonymous::never;
        case config::AnonymousPolicy::loopback:
            return auth::Anonymous::loopback;
        case config::AnonymousPolicy::always:
            return auth::Anonymous::always;
    }
    return auth::Anonymous::never;
}

}  // namespace

Result<auth::PasswordFile, std::vector<Diagnostic>> read_password_file(const std::string& path) {
    auto text = config::read_text_file(
        path, kAccessFileBytesMax, "`stentor user add " + path + " NAME` makes it");
    if (!text) return unreadable("auth.password_file", std::move(text).error());
    auto file = auth::PasswordFile::parse(*text);
    if (!file) return located(path, *text, std::move(file).error(), ShowLine::no);
    return *std::move(file);
}

Result<auth::Acl, std::vector<Diagnostic>> read_acl_file(const std::string& path,
                                                         auth::SubscribePolicy policy) {
    auto text = config::read_text_file(
        path,
        kAccessFileBytesMax,
        "write it (\"pattern readwrite #\" allows all to all), or leave acl_file out");
    if (!text) return unreadable("auth.acl_file", std::move(text).error());
    auto acl = auth::Acl::parse(*text, policy);
    if (!acl) return located(path, *text, std::move(acl).error(), ShowLine::yes);
    return *std::move(acl);
}

Result<Access, std::vector<Diagnostic>> load_access(const config::Options& options,
                                                    auth::Executor& executor) {
    std::vector<Diagnostic> errors;
    const auto collect = [&errors](const std::vector<Diagnostic>& more) {
        errors.insert(errors.end(), more.begin(), more.end());
    };
    std::vector<std::unique_ptr<const auth::Authenticator>> links;
    std::vector<std::unique_ptr<const auth::Method>> methods;
    const bool has_users = !options.auth.password_file.empty();
    links.push_back(std::make_unique<auth::CertificateAuthenticator>());
    if (!options.auth.password_file.empty()) {
        if (auto file = read_password_file(options.auth.password_file)) {
            auto users = std::make_shared<const auth::PasswordFile>(*std::move(file));
            if (users->has_scram()) methods.push_back(std::make_unique<auth::ScramSha256>(users));
            links.push_back(
                std::make_unique<auth::PasswordAuthenticator>(std::move(users), executor));
        } else {
            collect(file.error());
        }
    }
    const auto names = has_users ? auth::UnverifiedNames::refused : auth::UnverifiedNames::ignored;
    links.push_back(
        std::make_unique<auth::AnonymousAuthenticator>(policy_of(options.auth.anonymous), names));

    auth::Acl acl;
    if (!options.auth.acl_file.empty()) {
        const auto policy = options.auth.acl_subscribe == config::AclSubscribe::filter
                                ? auth::SubscribePolicy::filter
                                : auth::SubscribePolicy::refuse;
        if (auto read = read_acl_file(options.auth.acl_file, policy)) {
            acl = *std::move(read);
        } else {
            collect(read.error());
        }
    }
    if (!errors.empty()) return errors;
    return Access{.chain = std::make_shared<const auth::Chain>(
                      std::move(links), options.http.admins, std::move(methods)),
                  .acl = std::make_shared<const auth::Acl>(std::move(acl))};
}

}  // namespace stentor::app
