#include "server/transport/tls_review.hpp"

#include <fmt/core.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace stentor::server {

namespace {

using Kind = TlsFinding::Kind;
using Weight = TlsFinding::Weight;

// Or a third of its life before the end, if that is later: who renews in time is never warned,
// however short-lived what he has is.
constexpr std::chrono::hours kWarnBefore{30 * 24};
constexpr std::chrono::hours kWarnBeforeList{2 * 24};
constexpr int kLifeParts = 3;

WallTime time_of(const ASN1_TIME* time, WallTime otherwise) {
    std::tm fields{};
    if (time == nullptr || ::ASN1_TIME_to_tm(time, &fields) != 1) return otherwise;
    return std::chrono::system_clock::from_time_t(::timegm(&fields));
}

std::string date(WallTime time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm fields{};
    (void)::gmtime_r(&seconds, &fields);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC",
                       fields.tm_year + 1900,
                       fields.tm_mon + 1,
                       fields.tm_mday,
                       fields.tm_hour,
                       fields.tm_min);
}

std::int64_t days_between(WallTime from, WallTime to) {
    return std::chrono::duration_cast<std::chrono::days>(to - from).count();
}

/// The common name, or the whole of it.
std::string name_of(const X509_NAME* name) {
    const int at = ::X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at >= 0) {
        unsigned char* text = nullptr;
        const int size = ::ASN1_STRING_to_UTF8(
            &text, ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(name, at)));
        if (size >= 0) {
            std::string common{reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
            ::OPENSSL_free(text);
            return common;
        }
    }
    char* line = ::X509_NAME_oneline(name, nullptr, 0);
    std::string whole = line != nullptr ? line : "without a name";
    ::OPENSSL_free(line);
    return whole;
}

std::string hex(const unsigned char* bytes, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
    return text;
}

/// Names are given twice; these are not.
std::string id_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    (void)::X509_digest(certificate, ::EVP_sha256(), digest.data(), &size);
    return hex(digest.data(), size);
}

/// The same for an authority whose certificate was renewed.
std::string key_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    (void)::X509_pubkey_digest(certificate, ::EVP_sha256(), digest.data(), &size);
    return hex(digest.data(), size);
}

std::string lower(std::string_view text) {
    std::string made{text};
    for (char& c : made) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return made;
}

std::string text_of(const ASN1_STRING* text) {
    return lower({reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)),
                  static_cast<std::size_t>(::ASN1_STRING_length(text))});
}

/// The hosts a certificate is for, as X509_check_host() sees them: of its alternative names those
/// that are DNS's; without any the common name.
std::vector<std::string> hosts_of(const X509* certificate) {
    std::vector<std::string> hosts;
    auto* names = static_cast<GENERAL_NAMES*>(
        ::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* each = sk_GENERAL_NAME_value(names, i);
        if (each->type == GEN_DNS) hosts.push_back(text_of(each->d.dNSName));
    }
    ::GENERAL_NAMES_free(names);
    if (hosts.empty()) hosts.push_back(lower(name_of(::X509_get_subject_name(certificate))));
    return hosts;
}

/// Whether `host`, which may be a wildcard itself, leads to a certificate for `pattern`.
bool covers(const std::string& pattern, const std::string& host) {
    if (pattern == host) return true;
    const std::size_t dot = host.find('.');
    return pattern.starts_with("*.") && dot != std::string::npos && dot != 0 &&
           pattern.compare(1, std::string::npos, host, dot) == 0;
}

bool covers(const std::vector<std::string>& patterns, const std::string& host) {
    return std::any_of(patterns.begin(), patterns.end(), [&host](const std::string& pattern) {
        return covers(pattern, host);
    });
}

bool ends_soon(WallTime begins, WallTime ends, WallTime now, std::chrono::hours before) {
    return ends - now < std::min<WallTime::duration>(before, (ends - begins) / kLifeParts);
}

bool is_signed_by(X509_CRL* list, X509* authority) {
    return ::X509_NAME_cmp(::X509_CRL_get_issuer(list), ::X509_get_subject_name(authority)) == 0 &&
           ::X509_CRL_verify(list, ::X509_get0_pubkey(authority)) == 1;
}

struct Chain {
    std::string flaw{};  // what OpenSSL has against it, whatever the time is; empty: nothing
    WallTime begins = WallTime::min();
    WallTime ends = WallTime::max();
    std::vector<std::string> keys{};
};

/// From the authority up, where client certificates end.
Chain chain_of(SSL_CTX* context, X509* authority) {
    if (::X509_check_ca(authority) == 0) {
        return {.flaw = "is not for authorities (basicConstraints)"};
    }
    // Chains end there. Looked up like the others it could be mistaken for one of the same name.
    if ((::X509_get_extension_flags(authority) & EXFLAG_SS) != 0) return {};
    const std::unique_ptr<X509_STORE_CTX, void (*)(X509_STORE_CTX*)> check{::X509_STORE_CTX_new(),
                                                                           ::X509_STORE_CTX_free};
    X509_STORE* store = ::SSL_CTX_get_cert_store(context);
    if (!check || ::X509_STORE_CTX_init(check.get(), store, authority, nullptr) != 1) return {};
    ::X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_NO_CHECK_TIME);
    ::X509_VERIFY_PARAM_set_auth_level(::X509_STORE_CTX_get0_param(check.get()),
                                       ::SSL_CTX_get_security_level(context));
    if (::X509_verify_cert(check.get()) != 1) {
        const int error = ::X509_STORE_CTX_get_error(check.get());
        const bool alone = error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
                           error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
        if (!alone) {
            return {.flaw =
                        std::string{"cannot be used: "} + ::X509_verify_cert_error_string(error)};
        }
        return {.flaw = "is signed by \"" + name_of(::X509_get_issuer_name(authority)) +
                        "\", which is not there"};
    }
    Chain made;
    const STACK_OF(X509)* chain = ::X509_STORE_CTX_get0_chain(check.get());
    for (int i = 0; i < sk_X509_num(chain); ++i) {
        X509* link = sk_X509_value(chain, i);
        // Between it and a client's certificate there are as many as stand before it here.
        if (const long most = ::X509_get_pathlen(link); most >= 0 && most < i) {
            made.flaw = "is signed, directly or not, by \"" +
                        name_of(::X509_get_subject_name(link)) +
                        "\", which must not sign authorities (pathLenConstraint)";
        }
        made.begins = std::max(made.begins, time_of(::X509_get0_notBefore(link), WallTime::min()));
        made.ends = std::min(made.ends, time_of(::X509_get0_notAfter(link), WallTime::max()));
        made.keys.push_back(key_of(link));
    }
    return made;
}

}  // namespace

std::string absolute_path(const std::string& file) {
    std::error_code unknown;
    const std::filesystem::path path = std::filesystem::absolute(file, unknown);
    return unknown ? file : path.lexically_normal().string();
}

const char* name(TlsFinding::Kind kind) noexcept {
    switch (kind) {
        case Kind::certificate_expired:
            return "certificate_expired";
        case Kind::certificate_not_yet_valid:
            return "certificate_not_yet_valid";
        case Kind::certificate_expires:
            return "certificate_expires";
        case Kind::certificate_unfit:
            return "certificate_unfit";
        case Kind::certificate_unused:
            return "certificate_unused";
        case Kind::chain_expired:
            return "chain_expired";
        case Kind::chain_not_yet_valid:
            return "chain_not_yet_valid";
        case Kind::chain_expires:
            return "chain_expires";
        case Kind::client_ca_expired:
            return "client_ca_expired";
        case Kind::client_ca_not_yet_valid:
            return "client_ca_not_yet_valid";
        case Kind::client_ca_expires:
            return "client_ca_expires";
        case Kind::client_ca_unfit:
            return "client_ca_unfit";
        case Kind::revocation_list_expired:
            return "revocation_list_expired";
        case Kind::revocation_list_not_yet_valid:
            return "revocation_list_not_yet_valid";
        case Kind::revocation_list_expires:
            return "revocation_list_expires";
        case Kind::revocation_list_foreign:
            return "revocation_list_foreign";
        case Kind::revocation_list_missing:
            break;
    }
    return "revocation_list_missing";
}

TlsReview::Span TlsReview::span_of(const x509_st* certificate) {
    return {.begins = time_of(::X509_get0_notBefore(certificate), WallTime::min()),
            .ends = time_of(::X509_get0_notAfter(certificate), WallTime::max())};
}

void TlsReview::add_pair(ssl_ctx_st* context, const std::string& file) {
    STACK_OF(X509)* chain = nullptr;
    (void)::SSL_CTX_get0_chain_certs(context, &chain);
    X509* leaf = ::SSL_CTX_get0_certificate(context);
    const int links = chain == nullptr ? 0 : sk_X509_num(chain);
    for (int i = -1; i < links; ++i) {
        const X509* each = i < 0 ? leaf : sk_X509_value(chain, i);
        certificates_.push_back({.name = name_of(::X509_get_subject_name(each)),
                                 .id = id_of(each),
                                 .file = file,
                                 .valid = span_of(each),
                                 .pair = names_.size(),
                                 .is_chain = i >= 0});
        if (certificates_.back().valid.ends >= ends_) continue;
        ends_ = certificates_.back().valid.ends;
        ends_first_ = file;
    }
    if (::X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        lasting_.push_back(
            {.kind = Kind::certificate_unfit,
             .weight = Weight::locks_out,
             .problem = {"the certificate in " + absolute_path(file) +
                             " is not for servers (its key usage): clients refuse it",
                         "get one with the extended key usage serverAuth; one of a client or of "
                         "an authority does not do",
                         file},
             .certificate = names_.size(),
             .subject = id_of(leaf)});
    }
    note_names(leaf, file);
}

/// OpenSSL's first match wins.
void TlsReview::note_names(const x509_st* leaf, const std::string& file) {
    std::vector<std::string> hosts = hosts_of(leaf);
    const bool unused =
        !names_.empty() && std::all_of(hosts.begin(), hosts.end(), [this](const std::string& host) {
            return std::any_of(names_.begin(), names_.end(), [&host](const auto& earlier) {
                return covers(earlier, host);
            });
        });
    if (unused) {
        lasting_.push_back({.kind = Kind::certificate_unused,
                            .weight = Weight::warning,
                            .problem = {"the certificate in " + absolute_path(file) +
                                            " is never shown: one that comes before it is for \"" +
                                            hosts.front() + "\", too",
                                        "leave it out, or give each host one certificate",
                                        file},
                            .certificate = names_.size(),
                            .subject = id_of(leaf)});
    }
    names_.push_back(std::move(hosts));
}

void TlsReview::add_authority(ssl_ctx_st* context, x509_st* certificate) {
    const STACK_OF(X509_OBJECT)* objects =
        ::X509_STORE_get0_objects(::SSL_CTX_get_cert_store(context));
    Chain chain = chain_of(context, certificate);
    const Span own = span_of(certificate);
    Authority made{.name = name_of(::X509_get_subject_name(certificate)),
                   .id = id_of(certificate),
                   .key = key_of(certificate),
                   .valid = {.begins = std::max(own.begins, chain.begins),
                             .ends = std::min(own.ends, chain.ends)},
                   .flaw = std::move(chain.flaw),
                   .has_list = false,
                   .needs_list = true,
                   .keys_above = std::move(chain.keys)};
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        X509_OBJECT* each = sk_X509_OBJECT_value(objects, i);
        X509* other = ::X509_OBJECT_get0_X509(each);
        // Whoever has signed other authorities may sign nothing else.
        if (other != nullptr && (::X509_get_extension_flags(other) & EXFLAG_SS) == 0 &&
            ::X509_check_issued(certificate, other) == X509_V_OK) {
            made.needs_list = false;
        }
        X509_CRL* list = ::X509_OBJECT_get0_X509_CRL(each);
        if (list != nullptr && is_signed_by(list, certificate)) made.has_list = true;
    }
    authorities_.push_back(std::move(made));
}

void TlsReview::add_clients(ssl_ctx_st* context,
                            const std::string& ca_file,
                            const std::string& crl_file) {
    ca_file_ = ca_file;
    crl_file_ = crl_file;
    const STACK_OF(X509_OBJECT)* objects =
        ::X509_STORE_get0_objects(::SSL_CTX_get_cert_store(context));
    std::vector<X509*> authorities;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        X509* authority = ::X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority == nullptr) continue;
        authorities.push_back(authority);
        add_authority(context, authority);
    }
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        X509_CRL* list = ::X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        if (list == nullptr) continue;
        const auto signer = std::find_if(authorities.begin(),
                                         authorities.end(),
                                         [list](X509* each) { return is_signed_by(list, each); });
        lists_.push_back(
            {.issuer = name_of(::X509_CRL_get_issuer(list)),
             .key = signer == authorities.end() ? std::string{} : key_of(*signer),
             .valid = {.begins = time_of(::X509_CRL_get0_lastUpdate(list), WallTime::min()),
                       .ends = time_of(::X509_CRL_get0_nextUpdate(list), WallTime::max())}});
    }
    looks_up_chains_ = std::all_of(
        authorities_.begin(), authorities_.end(), [](const auto& each) { return each.has_list; });
}

std::vector<TlsFinding> TlsReview::at(WallTime now) const {
    std::vector<TlsFinding> found = lasting_;
    for (const Certificate& each : certificates_) judge(each, now, found);
    judge_authorities(now, found);
    judge_lists(now, found);
    return found;
}

void TlsReview::judge(const Certificate& certificate,
                      WallTime now,
                      std::vector<TlsFinding>& out) const {
    const Span& valid = certificate.valid;
    const bool chain = certificate.is_chain;
    const std::string which = (chain ? "the chain's certificate \"" : "the certificate \"") +
                              certificate.name + "\" in " + absolute_path(certificate.file);
    // Clients that know another way to an authority do not mind what is in the chain.
    TlsFinding found{.weight = chain ? Weight::warning : Weight::locks_out,
                     .certificate = certificate.pair,
                     .subject = certificate.id,
                     .days = days_between(now, valid.ends)};
    if (now >= valid.ends) {
        found.kind = chain ? Kind::chain_expired : Kind::certificate_expired;
        found.problem = {which + " has ended (" + date(valid.ends) + "): clients refuse it",
                         "get a new one; it is taken as soon as it is in that file",
                         certificate.file};
    } else if (now < valid.begins) {
        found.kind = chain ? Kind::chain_not_yet_valid : Kind::certificate_not_yet_valid;
        found.problem = {
            which + " is not valid before " + date(valid.begins) + ": until then clients refuse it",
            "wait until then, or set this machine's clock if that is what is wrong",
            certificate.file};
    } else if (ends_soon(valid.begins, valid.ends, now, kWarnBefore)) {
        found.kind = chain ? Kind::chain_expires : Kind::certificate_expires;
        found.weight = Weight::warning;
        found.problem = {
            fmt::format("{} ends in {} days ({})", which, *found.days, date(valid.ends)),
            "get a new one; it is taken as soon as it is in that file",
            certificate.file};
    } else {
        return;
    }
    out.push_back(std::move(found));
}

void TlsReview::judge_authorities(WallTime now, std::vector<TlsFinding>& out) const {
    const bool any =
        std::any_of(authorities_.begin(), authorities_.end(), [now](const Authority& authority) {
            return authority.lets_in(now);
        });
    const std::string whom =
        any ? "clients with its certificates are refused" : "every client certificate is refused";
    for (const Authority& authority : authorities_) {
        const Span& valid = authority.valid;
        const std::string which =
            "the client authority \"" + authority.name + "\" in " + absolute_path(ca_file_);
        TlsFinding found{.weight = any ? Weight::warning : Weight::locks_out,
                         .problem = {.what = {},
                                     .hint = "put the authority that signs client certificates "
                                             "now into that file",
                                     .file = ca_file_},
                         .subject = authority.id,
                         .days = days_between(now, valid.ends)};
        if (!authority.flaw.empty()) {
            found.kind = Kind::client_ca_unfit;
            found.problem.what = fmt::format("{} {}: {}", which, authority.flaw, whom);
            found.problem.hint = "the file holds authorities up to the one that has signed itself";
        } else if (now >= valid.ends) {
            found.kind = Kind::client_ca_expired;
            found.problem.what =
                fmt::format("{} has ended ({}): {}", which, date(valid.ends), whom);
        } else if (now < valid.begins) {
            found.kind = Kind::client_ca_not_yet_valid;
            found.problem.what = fmt::format(
                "{} is not valid before {}: until then {}", which, date(valid.begins), whom);
        } else if (ends_soon(valid.begins, valid.ends, now, kWarnBefore)) {
            found.kind = Kind::client_ca_expires;
            found.weight = Weight::warning;
            found.problem.what = fmt::format(
                "{} ends in {} days ({}), and then clients with its certificates are "
                "refused",
                which,
                *found.days,
                date(valid.ends));
        } else {
            continue;
        }
        out.push_back(std::move(found));
    }
}

void TlsReview::judge_lists(WallTime now, std::vector<TlsFinding>& out) const {
    const bool any = std::any_of(
        lists_.begin(), lists_.end(), [](const List& list) { return !list.key.empty(); });
    for (const List& list : lists_) {
        const auto first = std::find_if(lists_.begin(), lists_.end(), [&list](const List& each) {
            return each.is_of_same(list);
        });
        if (&*first != &list) continue;  // all of one authority are judged together
        if (list.key.empty()) {
            out.push_back(
                {.kind = Kind::revocation_list_foreign,
                 .weight = any ? Weight::warning : Weight::locks_out,
                 .problem = {"the revocation list in " + absolute_path(crl_file_) +
                                 " is signed by \"" + list.issuer + "\", whose key is not in " +
                                 absolute_path(ca_file_) +
                                 (any ? ""
                                      : ": clients without a list of their authority are "
                                        "refused"),
                             "get the list of the authority in client_ca; if one below it issues "
                             "the list, put that one's certificate into client_ca, too",
                             crl_file_},
                 .subject = list.issuer});
        }
        judge_time(list, now, out);
    }
    if (any) judge_missing(out);  // that no list fits at all has been said
}

void TlsReview::judge_missing(std::vector<TlsFinding>& out) const {
    for (const Authority& authority : authorities_) {
        if (authority.has_list || !authority.needs_list || !authority.flaw.empty()) continue;
        out.push_back({.kind = Kind::revocation_list_missing,
                       .weight = Weight::warning,
                       .problem = {"there is no list of \"" + authority.name + "\" in " +
                                       absolute_path(crl_file_) +
                                       ": clients with its certificates are refused",
                                   "with client_crl every authority in client_ca that signs "
                                   "clients needs a list; put all of them into that file",
                                   crl_file_},
                       .subject = authority.id});
    }
}

/// OpenSSL takes one whose time it is, if there is one.
bool TlsReview::has_list_of(const std::string& key, WallTime now) const {
    return std::any_of(lists_.begin(), lists_.end(), [&](const List& list) {
        return list.key == key && list.valid.contains(now);
    });
}

/// Clients of an authority are looked up in its list; those above it, if at all, in theirs.
bool TlsReview::are_refused(const Authority& authority, WallTime now) const {
    if (!has_list_of(authority.key, now)) return true;
    return looks_up_chains_ &&
           std::any_of(authority.keys_above.begin(),
                       authority.keys_above.end(),
                       [&](const std::string& key) { return !has_list_of(key, now); });
}

/// Of a list whose time it is not. Nobody is looked up in that of an authority which lets nobody
/// in, nor, as far as is known, in a stranger's.
TlsFinding::Weight TlsReview::weight_of(const List& list, WallTime now) const {
    const bool counts = std::any_of(authorities_.begin(), authorities_.end(), [&](const auto& a) {
        return a.key == list.key && a.lets_in(now);
    });
    if (!counts) return Weight::warning;
    const bool any = std::any_of(authorities_.begin(), authorities_.end(), [&](const auto& a) {
        return a.needs_list && a.lets_in(now) && !are_refused(a, now);
    });
    return any ? Weight::locks_some_out : Weight::locks_out;
}

/// The time in which there is a list of the same authority: that around `now`, else the next one,
/// else the last.
TlsReview::Span TlsReview::reach_of(const List& first, WallTime now) const {
    const auto is_better = [now](const Span& one, const Span& other) {
        if (one.contains(now) != other.contains(now)) return one.contains(now);
        if ((now < one.begins) != (now < other.begins)) return now < one.begins;
        return now < one.begins ? one.begins < other.begins : one.ends > other.ends;
    };
    Span reach = first.valid;
    for (const List& each : lists_) {
        if (each.is_of_same(first) && is_better(each.valid, reach)) reach = each.valid;
    }
    for (const List& each : lists_) {  // one that follows on it
        if (each.is_of_same(first) && each.valid.contains(reach.ends)) reach.ends = each.valid.ends;
    }
    return reach;
}

/// `first` of the lists of an authority, or of a stranger.
void TlsReview::judge_time(const List& first, WallTime now, std::vector<TlsFinding>& out) const {
    const Span valid = reach_of(first, now);
    const std::string which =
        "the revocation list of \"" + first.issuer + "\" in " + absolute_path(crl_file_);
    TlsFinding found{.weight = weight_of(first, now),
                     .subject = first.key.empty() ? first.issuer : first.key,
                     .days = days_between(now, valid.ends)};
    const std::string whom = found.weight == Weight::warning
                                 ? "no client that is let in is looked up there"
                                 : "every client of \"" + first.issuer + "\" is refused";
    found.problem.file = crl_file_;
    if (now >= valid.ends) {
        found.kind = Kind::revocation_list_expired;
        found.problem.what = which + " is out of date (" + date(valid.ends) + "): " + whom;
        found.problem.hint = "get a new one from the authority: its nextUpdate has passed";
    } else if (now < valid.begins) {
        found.kind = Kind::revocation_list_not_yet_valid;
        found.problem.what =
            which + " is not valid before " + date(valid.begins) + ": until then " + whom;
        found.problem.hint = "wait until then, or set this machine's clock";
    } else if (ends_soon(valid.begins, valid.ends, now, kWarnBeforeList)) {
        found.kind = Kind::revocation_list_expires;
        found.problem.what =
            which + " will soon be out of date (" + date(valid.ends) + "), and then " + whom;
        found.problem.hint = "get a new one from the authority";
        found.weight = Weight::warning;
    } else {
        return;
    }
    out.push_back(std::move(found));
}

}  // namespace stentor::server
