#pragma once
// What a TLS door has: certificates with their keys, whom it trusts, versions and ciphers. Made
// from files by the main thread, immutable, shared by all shards (OpenSSL locks what it counts),
// replaced as a whole when files change; connections finish with the one they began with.

#include "base/result.hpp"

#include <chrono>
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

/// For people: what is wrong with which file, and what to do.
struct TlsProblem {
    std::string what;
    std::string hint;
    std::string file{};  // as the options name it; empty: it is about something else
};

class TlsContext {
  public:
    /// Reads and checks the files. `previous`: its tickets stay good where no client certificates
    /// are asked for (those must not outlive a revocation); null: none.
    [[nodiscard]] static Result<std::shared_ptr<const TlsContext>, TlsProblem> load(
        const TlsOptions& options, const TlsContext* previous);

    /// A connection of the server's side; the caller frees it. Null if memory is exhausted.
    [[nodiscard]] ssl_st* new_connection() const;

    /// Nobody comes in without a certificate.
    [[nodiscard]] bool demands_client_certificate() const noexcept { return demands_client_; }

    /// When the first of the revocation lists ends; max(): there is none.
    [[nodiscard]] std::chrono::system_clock::time_point list_ends() const noexcept {
        return list_ends_;
    }
    /// When the first of the certificates ends, those of chains included, and whose it is.
    [[nodiscard]] std::chrono::system_clock::time_point ends() const noexcept { return ends_; }
    [[nodiscard]] const std::string& ends_first() const noexcept { return ends_first_; }

    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    ~TlsContext() = default;

  private:
    struct Free {
        void operator()(ssl_ctx_st* context) const noexcept;
    };
    using Handle = std::unique_ptr<ssl_ctx_st, Free>;

    TlsContext() = default;
    [[nodiscard]] Result<Handle, TlsProblem> make(const TlsOptions& options,
                                                  const TlsOptions::Pair& pair);
    [[nodiscard]] Result<void, TlsProblem> load_pair(ssl_ctx_st* context,
                                                     const TlsOptions::Pair& pair);
    [[nodiscard]] Result<void, TlsProblem> set_revocation(ssl_ctx_st* context,
                                                          const TlsOptions& options);
    static int choose_certificate(ssl_st* connection, int* alert, void* self);

    std::vector<Handle> contexts_;  // one per certificate
    bool tickets_outlive_reload_ = true;
    bool demands_client_ = false;
    std::chrono::system_clock::time_point ends_ = std::chrono::system_clock::time_point::max();
    std::chrono::system_clock::time_point list_ends_ = std::chrono::system_clock::time_point::max();
    std::string ends_first_;
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
