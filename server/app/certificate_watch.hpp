#pragma once
// Keeps the certificates of running doors as their files are, unless that would lock clients out,
// and tells the log what is, or will soon be, wrong with those in force.
// Main thread only; what it puts into a Door's slot the shards see at once.

#include "base/result.hpp"
#include "server/app/file_watch.hpp"
#include "server/app/server.hpp"
#include "server/config/options.hpp"
#include "server/transport/door.hpp"
#include "server/transport/tls_review.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::app {

class CertificateWatch {
  public:
    /// Of both: one per door, in the doors' order; they outlive this.
    CertificateWatch(const std::vector<std::string>& urls, std::vector<server::Door>& doors);

    /// Reads all files. A door whose new ones cannot be used, or would lock clients out that get
    /// in with the old ones, keeps those, whatever becomes of others; it is tried again every
    /// minute. Returns those doors, for the caller to tell.
    [[nodiscard]] std::vector<TlsRefusal> renew(
        const std::vector<config::ListenerOptions>& listeners, server::WallTime now);

    /// The same for `listeners` as they are to be. Fails, and has changed nothing at any door, if
    /// one's TLS options are not those in force and cannot be used: what a door asks of clients
    /// must not stay behind what the rest of the configuration relies on.
    [[nodiscard]] Result<std::vector<TlsRefusal>, TlsMistakes> reload(
        const std::vector<config::ListenerOptions>& listeners, server::WallTime now);

    /// To be called every few seconds: renew() if files have changed since it was called last, and
    /// who keeps what he has is told; then warnings. Each of these is said when there is first
    /// reason for it, or another one, and once a day from then on.
    void look(const std::vector<config::ListenerOptions>& listeners, server::WallTime now);

  private:
    struct Told {
        std::size_t door;
        server::TlsFinding::Kind kind;
        std::string about;  // the file, and what in it
        server::WallTime at;
    };
    struct Kept {
        std::string why;  // empty: the door has what is in the files
        server::WallTime tried;
        server::WallTime told;
    };

    using Loaded = Result<std::shared_ptr<const server::TlsContext>, server::TlsProblem>;

    void know(const std::vector<config::ListenerOptions>& listeners);
    [[nodiscard]] std::vector<std::optional<Loaded>> load(
        const std::vector<config::ListenerOptions>& listeners, server::WallTime now) const;
    [[nodiscard]] std::vector<TlsRefusal> take(
        std::vector<std::optional<Loaded>> loaded,
        const std::vector<config::ListenerOptions>& listeners,
        server::WallTime now);
    [[nodiscard]] std::optional<server::TlsProblem> take_door(std::size_t number,
                                                              Loaded loaded,
                                                              const config::TlsOptions& options,
                                                              server::WallTime now);
    void try_again(std::size_t number,
                   const config::ListenerOptions& listener,
                   server::WallTime now);
    void tell_kept(std::size_t number, const server::TlsProblem& problem) const;
    void tell(std::size_t number, server::WallTime now);
    void tell(std::size_t number, const server::TlsFinding& finding) const;

    const std::vector<std::string>& urls_;
    std::vector<server::Door>& doors_;
    FileWatch files_;
    std::vector<Kept> kept_;                    // one per door
    std::vector<config::TlsOptions> in_force_;  // likewise, once it has been asked anything
    std::vector<Told> told_;
};

}  // namespace stentor::app
