#pragma once
// What a TLS door has: certificates with their keys, whom it trusts, versions and ciphers. Made
// from files by the main thread, immutable, shared by all shards (OpenSSL locks what it counts),
// replaced as a whole when files change; connections finish with the one they began with.

#include "base/result.hpp"
#include "server/transport/tls_review.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace stentor::server {

enum class ClientCertificates : std::uint8_t { none, optional, required };
enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

struct TlsOptions {
    struct Pair {
        std::string certificate_file;  // PEM, the chain above it behind it
        std::string key_file;          // PEM, not encrypted
    };
    /// The first is shown to clients that name no host, or one that no certificate is for.
    std::vector<Pair> certificates;
    std::string client_ca_file;   // PEM
    std::string client_crl_file;  // PEM; empty: none
    ClientCertificates client_certificates = ClientCertificates::none;
    TlsVersion version_min = TlsVersion::tls1_2;
    std::string ciphers;  // of TLS 1.2, OpenSSL's syntax; empty: ours
};

class TlsContext {
  public:
    /// Reads and checks the files: fails with those that OpenSSL cannot use; what else there is to
    /// say of them is in review(). `previous`: its tickets stay good where no client certificates
    /// are asked for (those must not outlive a revocation); null: none.
    [[nodiscard]] static Result<std::shared_ptr<const TlsContext>, TlsProblem> load(
        const TlsOptions& options, const TlsContext* previous);

    /// A connection of the server's side; the caller frees it. Null if memory is exhausted.
    [[nodiscard]] ssl_st* new_connection() const;

    /// Nobody comes in without a certificate.
    [[nodiscard]] bool demands_client_certificate() const noexcept {
        return clients_ == ClientCertificates::required;
    }

    /// What is known of the files beyond that OpenSSL takes them.
    [[nodiscard]] const TlsReview& review() const noexcept { return review_; }

    /// Whether nobody could tell the one from the other: the same certificates, authorities, lists
    /// and policy, wherever they were read from.
    [[nodiscard]] bool is_like(const TlsContext& other) const noexcept {
        return contents_ == other.contents_ && version_min_ == other.version_min_ &&
               ciphers_ == other.ciphers_ && clients_ == other.clients_;
    }

    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    ~TlsContext() = default;

  private:
    struct Free {
        void operator()(ssl_ctx_st* context) const noexcept;
    };
    using Handle = std::unique_ptr<ssl_ctx_st, Free>;

    TlsContext() = default;
    [[nodiscard]] Result<void, TlsProblem> add(const TlsOptions& options,
                                               const TlsOptions::Pair& pair);
    static int choose_certificate(ssl_st* connection, int* alert, void* self);

    std::vector<Handle> contexts_;  // one per certificate
    bool tickets_outlive_reload_ = true;
    std::string contents_;  // digests
    TlsVersion version_min_{};
    std::string ciphers_;
    ClientCertificates clients_{};
    TlsReview review_;
};

/// Where a door's context lies while it may be replaced. Any thread.
class TlsSlot {
  public:
    [[nodiscard]] std::shared_ptr<const TlsContext> get() const {
        const std::lock_guard lock{mutex_};
        return context_;
    }
    void set(std::shared_ptr<const TlsContext> context) {
        const std::lock_guard lock{mutex_};
        context_ = std::move(context);
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const TlsContext> context_;
};

}  // namespace stentor::server
