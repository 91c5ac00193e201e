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
#include <string>
#include <vector>

namespace stentor::app {

class CertificateWatch {
  public:
    /// Of both: one per door, in the doors' order; they outlive this.
    CertificateWatch(const std::vector<std::string>& urls, std::vector<server::Door>& doors);

    /// Whether renew() would take all files as they are now.
    [[nodiscard]] Result<void, TlsRefusal> would_take(
        const std::vector<config::ListenerOptions>& listeners, server::WallTime now) const;

    /// Reads all files. A door whose new ones cannot be used, or would lock clients out that get
    /// in with the old ones, keeps those; it is tried again every minute, in silence.
    void renew(const std::vector<config::ListenerOptions>& listeners, server::WallTime now);

    /// To be called every few seconds: renew() if files have changed since it was called last;
    /// then warnings, each when there is first reason for it and once a day from then on.
    void look(const std::vector<config::ListenerOptions>& listeners, server::WallTime now);

  private:
    struct Told {
        std::size_t door;
        server::TlsFinding::Kind kind;
        std::string about;  // the file, and which of its certificates
        server::WallTime at;
    };
    struct Kept {
        bool is = false;  // the files are not what the door has
        std::string why;
        server::WallTime tried;
    };
    enum class Silence : bool { no, unless_changed };

    void renew_door(std::size_t number,
                    const config::ListenerOptions& listener,
                    server::WallTime now,
                    Silence silence);
    void keep(std::size_t number,
              const server::TlsProblem& problem,
              server::WallTime now,
              Silence silence);
    void tell(std::size_t number, server::WallTime now);
    void tell(std::size_t number, const server::TlsFinding& finding) const;

    const std::vector<std::string>& urls_;
    std::vector<server::Door>& doors_;
    FileWatch files_;
    std::vector<Kept> kept_;  // one per door
    std::vector<Told> told_;
};

}  // namespace stentor::app
