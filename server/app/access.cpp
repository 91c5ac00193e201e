#include "server/app/access.hpp"

#include "auth/jwt/jwt_authenticator.hpp"
#include "auth/jwt/jwt_method.hpp"
#include "auth/scram.hpp"
#include "base/assert.hpp"
#include "server/config/service_url.hpp"
#include "server/config/text_file.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace stentor::app {
namespace {

using config::Diagnostic;

auth::JwtPolicy policy_of(const config::JwtOptions& options) {
    auth::JwtPolicy policy;
    if (!options.algorithms.empty()) policy.algorithms = {};
    for (const std::string& name : options.algorithms) {
        const auto algorithm = auth::jwt_algorithm(name);
        STENTOR_ASSERT(algorithm.has_value(), "config checks the names");
        policy.algorithms.add(*algorithm);
    }
    policy.issuer = options.issuer;
    policy.audience = options.audience;
    policy.leeway = options.leeway;
    policy.user_claim = options.user_claim;
    policy.user_must_match = options.user_must_match;
    policy.client_id_claim = options.client_id_claim;
    policy.acl_claim = options.acl_claim;
    policy.roles_claim = options.roles_claim;
    policy.expiry_required = options.expiry_required;
    return policy;
}

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

std::vector<std::string> jwt_files(const config::JwtOptions& options) {
    std::vector<std::string> files{options.key_file, options.jwks_file};
    std::erase(files, std::string{});
    return files;
}

Result<auth::JwtKeySet, std::vector<Diagnostic>> read_jwt_keys(const config::JwtOptions& options) {
    struct Source {
        const char* key;
        const std::string& path;
        Result<auth::JwtKeySet, std::vector<auth::FileError>> (*parse)(std::string_view);
        const char* how_to_make;
    };
    const std::array<Source, 2> sources{
        {{"auth.jwt.key_file",
          options.key_file,
          &auth::JwtKeySet::parse_key_file,
          "put the public key (PEM) of whoever issues tokens there"},
         {"auth.jwt.jwks_file",
          options.jwks_file,
          &auth::JwtKeySet::parse_jwks,
          "fetch the key set (JWKS) of whoever issues tokens and put it there"}}};
    auth::JwtKeySet all;
    std::vector<Diagnostic> errors;
    for (const Source& source : sources) {
        if (source.path.empty()) continue;
        std::vector<Diagnostic> mistakes;
        auto text =
            config::read_text_file(source.path, auth::kJwtKeyFileBytesMax, source.how_to_make);
        if (!text) {
            mistakes = unreadable(source.key, std::move(text).error());
        } else if (auto keys = source.parse(*text)) {
            all.add(*std::move(keys));
        } else {
            mistakes = located(source.path, *text, std::move(keys).error(), ShowLine::no);
        }
        errors.insert(errors.end(), mistakes.begin(), mistakes.end());
    }
    if (!errors.empty()) return errors;
    return all;
}

Result<auth::HttpLoginOptions, std::vector<Diagnostic>> read_http_logins(
    const config::HttpAuthOptions& options) {
    const auto url = config::parse_service_url(options.url);
    STENTOR_ASSERT(url.has_value(), "config checks the URL");
    auth::HttpLoginOptions logins{
        .uses_tls = url->uses_tls,
        .host = url->host,
        .port = url->port,
        .target = url->target,
        .timeout = options.timeout,
        .connections_max = options.connections_max,
        .desk = {.keeps_accepted = options.cache,
                 .keeps_refused = options.cache_refusals,
                 .cache_bytes_max = options.cache_bytes_max,
                 .service = options.url.substr(0, options.url.find('?'))}};
    std::vector<Diagnostic> errors;
    if (!options.headers_file.empty()) {
        auto text = config::read_text_file(options.headers_file,
                                           auth::kServiceHeadersBytesMax,
                                           "write \"Authorization: Bearer ...\" into it");
        if (!text) {
            errors = unreadable("auth.http.headers_file", std::move(text).error());
        } else if (auto headers = auth::parse_service_headers(*text)) {
            logins.headers = *std::move(headers);
        } else {
            errors = located(options.headers_file, *text, std::move(headers).error(), ShowLine::no);
        }
    }
    if (!options.ca_file.empty()) {
        std::vector<Diagnostic> mistakes;
        auto pem = config::read_text_file(
            options.ca_file,
            kAccessFileBytesMax,
            "put the certificate (PEM) of whoever signed the service's there");
        if (!pem) {
            mistakes = unreadable("auth.http.ca_file", std::move(pem).error());
        } else if (const auto checked = auth::check_authorities(*pem); !checked) {
            mistakes = unreadable("auth.http.ca_file",
                                  {.what = options.ca_file + ": " + checked.error().what,
                                   .hint = checked.error().hint});
        } else {
            logins.authorities = *std::move(pem);
        }
        errors.insert(errors.end(), mistakes.begin(), mistakes.end());
    }
    if (!errors.empty()) return errors;
    return logins;
}

Result<auth::BanList, std::vector<Diagnostic>> read_ban_file(const std::string& path) {
    auto text = config::read_text_file(
        path, kAccessFileBytesMax, "write it (an empty file bans nobody), or leave ban_file out");
    if (!text) return unreadable("auth.ban_file", std::move(text).error());
    auto bans = auth::BanList::parse(*text);
    if (!bans) return located(path, *text, std::move(bans).error(), ShowLine::yes);
    return *std::move(bans);
}

static Result<std::shared_ptr<const auth::HttpLogins>, std::vector<Diagnostic>> open_logins(
    const config::HttpAuthOptions& options, auth::HttpLoop& loop) {
    STENTOR_TRY(auto read, read_http_logins(options));
    auto logins = auth::HttpLogins::open(std::move(read), loop);
    if (logins) return *std::move(logins);
    return unreadable("auth.http",
                      {.what = std::move(logins.error().what), .hint = logins.error().hint});
}

Result<Access, std::vector<Diagnostic>> load_access(const config::Options& options,
                                                    auth::Executor& executor,
                                                    auth::HttpLoop& loop) {
    std::vector<Diagnostic> errors;
    const auto collect = [&errors](const std::vector<Diagnostic>& more) {
        errors.insert(errors.end(), more.begin(), more.end());
    };
    std::vector<std::unique_ptr<const auth::Authenticator>> links;
    std::vector<std::unique_ptr<const auth::Method>> methods;
    const bool has_users = !options.auth.password_file.empty() || options.auth.jwt.is_on() ||
                           options.auth.http.is_on();
    std::shared_ptr<const auth::HttpLogins> logins;
    if (options.auth.http.is_on()) {
        if (auto opened = open_logins(options.auth.http, loop)) {
            logins = *std::move(opened);
        } else {
            collect(opened.error());
        }
    }
    if (logins != nullptr && options.auth.http.certificates) {
        links.push_back(
            std::make_unique<auth::HttpAuthenticator>(logins, auth::HttpAsksAbout::certificates));
    }
    links.push_back(std::make_unique<auth::CertificateAuthenticator>());
    std::shared_ptr<auth::JwtKeyRing> jwt_keys;
    if (options.auth.jwt.is_on()) {
        if (auto keys = read_jwt_keys(options.auth.jwt)) {
            jwt_keys = std::make_shared<auth::JwtKeyRing>(*std::move(keys));
            auto policy = std::make_shared<const auth::JwtPolicy>(policy_of(options.auth.jwt));
            links.push_back(std::make_unique<auth::JwtAuthenticator>(policy, jwt_keys, executor));
            methods.push_back(std::make_unique<auth::JwtMethod>(policy, jwt_keys, executor));
        } else {
            collect(keys.error());
        }
    }
    if (logins != nullptr) {
        links.push_back(
            std::make_unique<auth::HttpAuthenticator>(logins, auth::HttpAsksAbout::others));
    }
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

    const auto policy = options.auth.acl_subscribe == config::AclSubscribe::filter
                            ? auth::SubscribePolicy::filter
                            : auth::SubscribePolicy::refuse;
    auth::Acl acl{policy};
    if (!options.auth.acl_file.empty()) {
        if (auto read = read_acl_file(options.auth.acl_file, policy)) {
            acl = *std::move(read);
        } else {
            collect(read.error());
        }
    }
    auth::BanList bans;
    if (!options.auth.ban_file.empty()) {
        if (auto read = read_ban_file(options.auth.ban_file)) {
            bans = *std::move(read);
        } else {
            collect(read.error());
        }
    }
    if (!errors.empty()) return errors;
    return Access{.chain = std::make_shared<const auth::Chain>(
                      std::move(links), options.http.admins, std::move(methods)),
                  .acl = std::make_shared<const auth::Acl>(std::move(acl)),
                  .bans = std::make_shared<const auth::BanList>(std::move(bans)),
                  .jwt_keys = std::move(jwt_keys),
                  .logins = &loop.counters()};
}

}  // namespace stentor::app
