#pragma once
// The running broker as main sees it: options in, listening URLs out, and a way to end it.
// Owned and called by the main thread, which otherwise only waits for signals; the shards, the
// storage engine and the listeners run on threads of the Server's own.

#include "base/result.hpp"
#include "server/config/options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stentor::auth {
class Acl;
class BanList;
class Chain;
class JwtKeyRing;
struct LoginCounters;
}  // namespace stentor::auth

namespace stentor::app {

class ReloadDesk;

/// Why something cannot be done, for people: "cannot bind ...: address already in use".
struct Problem {
    std::string what;
    std::string hint;  // what to do about it; may be empty
};

/// Which listener keeps the certificates that it has, because of which file, and why.
struct TlsRefusal {
    std::size_t listener = 0;
    std::string file;  // as its tls names it; empty: it is about something else
    Problem why;
};

/// Why a reload has changed nothing: listeners whose `tls` says something else than before that
/// cannot be used. One at least.
struct TlsMistakes {
    std::vector<TlsRefusal> all;
};

/// Who may come in and do what, read from files by main. Immutable, replaced as a whole by
/// reload().
struct Access {
    std::shared_ptr<const auth::Chain> chain;
    std::shared_ptr<const auth::Acl> acl;
    std::shared_ptr<const auth::BanList> bans = {};
    std::shared_ptr<auth::JwtKeyRing> jwt_keys = {};  // null: tokens are not accepted
    const auth::LoginCounters* logins = nullptr;      // the same each time; outlives the Server
};

/// drain: stop accepting, DISCONNECT 0x8B, flush, commit, close. at_once: commit and close.
enum class StopMode : std::uint8_t { drain, at_once };

class Server {
  public:
    /// Binds every listener, recovers the store and starts the threads; clients are served from
    /// then on. Where there is a store but no room on the disk to open it, they are told to come
    /// back, until there is; see ready_descriptor(). Fails with what could not be opened, and then
    /// leaves nothing running.
    [[nodiscard]] static Result<std::unique_ptr<Server>, Problem> start(
        const config::Options& options, Access access);

    virtual ~Server() = default;  // run() must have returned

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// One URL per bound door, with its real port, in the order of the options. Never changes.
    [[nodiscard]] virtual const std::vector<std::string>& listening_urls() const = 0;

    /// Readable (poll) once clients have been served: in nearly all cases as soon as start()
    /// returns.
    [[nodiscard]] virtual int ready_descriptor() const = 0;

    /// Readable (poll) once the server has stopped or must be ended; run() then returns soon.
    [[nodiscard]] virtual int stopped_descriptor() const = 0;

    /// Asks the server to stop; returns at once and may be called again with `at_once`.
    virtual void request_stop(StopMode mode) = 0;

    /// Hands over what can change while running: access, certificates, limits of new connections.
    /// The caller has validated all but the certificates and has said which keys need a restart
    /// (main does). Returns the doors whose new certificates cannot be used, or would lock clients
    /// out that get in today, with the same TLS options: they keep theirs, and nobody has been told
    /// so yet. With other options the reload fails, and all is as it was.
    [[nodiscard]] virtual Result<std::vector<TlsRefusal>, TlsMistakes> reload(
        const config::Options& options, Access access) = 0;

    /// What administrators ask the main thread to do: a reload.
    [[nodiscard]] virtual ReloadDesk& reload_desk() = 0;

    /// The same for bans alone.
    virtual void set_bans(std::shared_ptr<const auth::BanList> bans) = 0;

    /// Reads certificates again if their files have changed, and warns of those that end soon. To
    /// be called every few seconds.
    virtual void look_after_files(const config::Options& options) = 0;

    /// Waits until everything has stopped and joins the threads. Fails with the reason if the
    /// server gave up by itself (an unusable store), not if it was asked to stop.
    [[nodiscard]] virtual Result<void, Problem> run() = 0;

  protected:
    Server() = default;
};

}  // namespace stentor::app
