#pragma once
// What OpenSSL takes without a word although handshakes fail with it, now or soon: certificates,
// authorities and revocation lists whose time is over or has not come, lists and authorities that
// do not belong together, a certificate that no name leads to. Collected from a door's files while
// they are read; judged by the clock as often as somebody asks. Any thread, once it is complete.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct ssl_ctx_st;
struct x509_st;

namespace stentor::server {

using WallTime = std::chrono::system_clock::time_point;

/// For people: what is wrong with which file, and what to do.
struct TlsProblem {
    std::string what;
    std::string hint;
    std::string file{};  // as the options name it; empty: it is about something else
};

/// Whoever reads a message may not know where the broker was started.
[[nodiscard]] std::string absolute_path(const std::string& file);

struct TlsFinding {
    enum class Kind : std::uint8_t {
        certificate_expired,
        certificate_not_yet_valid,
        certificate_expires,
        certificate_unfit,   // it is not for servers
        certificate_unused,  // all its names are those of one before it
        chain_expired,
        chain_not_yet_valid,
        chain_expires,
        client_ca_expired,
        client_ca_not_yet_valid,
        client_ca_expires,
        client_ca_unfit,  // no chain can end there
        revocation_list_expired,
        revocation_list_not_yet_valid,
        revocation_list_expires,
        revocation_list_foreign,  // of no authority that is known
        revocation_list_missing,  // of an authority
    };
    enum class Weight : std::uint8_t {
        locks_out,       // everybody whom the file is for is refused, or refuses us
        locks_some_out,  // so are the clients of one authority, by its list
        warning,         // some may be, or it will come to that
    };

    Kind kind{};
    Weight weight{};
    TlsProblem problem{};
    std::size_t certificate = 0;  // the number of the pair it is about
    std::string subject{};  // which of those in the file: a certificate, or whose list; for ==
    std::optional<std::int64_t> days{};  // until it ends; negative: since it has
};

/// The event of a log line that tells it.
[[nodiscard]] const char* name(TlsFinding::Kind kind) noexcept;

class TlsReview {
  public:
    /// The certificate of `context` and the chain above it; pairs come in their order.
    void add_pair(ssl_ctx_st* context, const std::string& file);
    /// Authorities and lists of `context`. Before its flags about lists are set; see
    /// has_list_of_each().
    void add_clients(ssl_ctx_st* context, const std::string& ca_file, const std::string& crl_file);

    /// Whether each authority has a list that it has signed. Only then can OpenSSL look up those in
    /// the middle of a chain, too (X509_V_FLAG_CRL_CHECK_ALL); otherwise it is to look up the
    /// client's own certificate alone.
    [[nodiscard]] bool has_list_of_each() const noexcept { return looks_up_chains_; }

    /// All there is to say at `now`.
    [[nodiscard]] std::vector<TlsFinding> at(WallTime now) const;

    /// When the first of the server's certificates ends, those of chains included, and whose file
    /// it is in; max(): there is none.
    [[nodiscard]] WallTime ends() const noexcept { return ends_; }
    [[nodiscard]] const std::string& ends_first() const noexcept { return ends_first_; }

  private:
    struct Span {
        WallTime begins;
        WallTime ends;
        [[nodiscard]] bool contains(WallTime now) const noexcept {
            return begins <= now && now < ends;
        }
    };
    struct Certificate {
        std::string name;
        std::string id;
        std::string file;
        Span valid;
        std::size_t pair;
        bool is_chain;
    };
    struct Authority {
        std::string name;
        std::string id;
        std::string key;
        Span valid;        // also of what is above it
        std::string flaw;  // why no chain can end there; empty: one can
        bool has_list;
        bool needs_list;
        std::vector<std::string> keys_above{};  // of the chain up to the one that signs itself

        [[nodiscard]] bool lets_in(WallTime now) const noexcept {
            return flaw.empty() && valid.contains(now);
        }
    };
    struct List {
        std::string issuer;
        std::string key;  // of the authority that has signed it; empty: of none that is known
        Span valid;

        [[nodiscard]] bool is_of_same(const List& other) const noexcept {
            return key == other.key && issuer == other.issuer;
        }
    };

    static Span span_of(const x509_st* certificate);
    void note_names(const x509_st* leaf, const std::string& file);
    void add_authority(ssl_ctx_st* context, x509_st* certificate);
    void judge(const Certificate& certificate, WallTime now, std::vector<TlsFinding>& out) const;
    void judge_authorities(WallTime now, std::vector<TlsFinding>& out) const;
    void judge_lists(WallTime now, std::vector<TlsFinding>& out) const;
    void judge_missing(std::vector<TlsFinding>& out) const;
    void judge_time(const List& first, WallTime now, std::vector<TlsFinding>& out) const;
    [[nodiscard]] Span reach_of(const List& first, WallTime now) const;
    [[nodiscard]] TlsFinding::Weight weight_of(const List& list, WallTime now) const;
    [[nodiscard]] bool has_list_of(const std::string& key, WallTime now) const;
    [[nodiscard]] bool are_refused(const Authority& authority, WallTime now) const;

    std::vector<std::vector<std::string>> names_;  // of each pair
    std::vector<Certificate> certificates_;
    std::vector<TlsFinding> lasting_;  // what no clock changes
    std::string ca_file_;
    std::string crl_file_;
    std::vector<Authority> authorities_;
    std::vector<List> lists_;
    bool looks_up_chains_ = false;
    WallTime ends_ = WallTime::max();
    std::string ends_first_;
};

}  // namespace stentor::server
