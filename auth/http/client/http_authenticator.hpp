#pragma once
// A web service as a link of the chain: who may come in, as whom, what for and until when. All
// sockets are on one thread, the HttpLoop's; whoever asks only leaves a note there.
//
//     HttpLoop loop;
//     auto logins = HttpLogins::open(options, loop);
//     links.push_back(std::make_unique<HttpAuthenticator>(*logins, HttpAsksAbout::others));

#include "auth/authenticator.hpp"
#include "auth/http/login_desk.hpp"
#include "auth/http/service_headers.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {

inline constexpr std::size_t kHttpQueueMax = 1024;  // questions that wait for a connection
/// Clients whose login is being asked about, or about to be: many may wait for one answer.
inline constexpr std::size_t kHttpWaitingMax = 4 * kHttpQueueMax;

struct HttpLoginOptions {
    bool uses_tls = false;
    std::string host = {};  // a name or an address, IPv6 without brackets
    std::uint16_t port = 80;
    std::string target = "/";  // path and query
    std::vector<ServiceHeader> headers = {};
    std::string authorities = {};  // PEM; empty: the system's
    Duration timeout = std::chrono::seconds{5};
    std::size_t connections_max = 8;
    LoginDeskOptions desk = {};
};

/// For people.
struct HttpLoginProblem {
    std::string what;
    std::string hint;
};

/// Whether these are authorities that a service's certificate can be checked with.
[[nodiscard]] Result<void, HttpLoginProblem> check_authorities(const std::string& pem);

/// The thread of all questions to web services. Made and destroyed by the main thread; outlives
/// every chain that has a link to it.
class HttpLoop {
  public:
    HttpLoop();
    HttpLoop(const HttpLoop&) = delete;
    HttpLoop& operator=(const HttpLoop&) = delete;
    ~HttpLoop();

    /// Whoever waits is told that nobody can say, and so is whoever asks from now on. While the
    /// sinks of all requests still exist.
    void stop();

    /// Of all services that have been asked, one after the other.
    [[nodiscard]] const LoginCounters& counters() const noexcept;

  private:
    friend class HttpLogins;
    struct Impl;

    std::unique_ptr<Impl> impl_;
};

/// One service and what is remembered of its answers. Any thread.
class HttpLogins {
  public:
    struct Impl;  // of http_authenticator.cpp

    [[nodiscard]] static Result<std::shared_ptr<const HttpLogins>, HttpLoginProblem> open(
        HttpLoginOptions options, HttpLoop& loop);
    HttpLogins(const HttpLogins&) = delete;
    HttpLogins& operator=(const HttpLogins&) = delete;
    ~HttpLogins();

    /// Never blocks. When too many wait, whoever brings most is closed and comes again.
    void ask(Request request) const;

  private:
    HttpLogins(std::shared_ptr<Impl> impl, HttpLoop::Impl& loop) noexcept;

    std::shared_ptr<Impl> impl_;  // the loop's thread works on it
    HttpLoop::Impl* loop_;
};

/// certificates: whoever has shown a client certificate; others: everybody else. The rest is passed
/// on. Two links, so that each may stand where it belongs.
enum class HttpAsksAbout : std::uint8_t { certificates, others };

class HttpAuthenticator final : public Authenticator {
  public:
    HttpAuthenticator(std::shared_ptr<const HttpLogins> logins, HttpAsksAbout about) noexcept
        : logins_{std::move(logins)}, about_{about} {}

    [[nodiscard]] std::string_view name() const noexcept override { return "http"; }
    void ask(Request request) const override;
    /// Nobody is asked about again while connected: whom the service has let in stays as long as
    /// one is asked at all, and until what the answer says.
    [[nodiscard]] std::uint64_t voucher(std::string_view name, Locality locality) const override;

  private:
    std::shared_ptr<const HttpLogins> logins_;
    HttpAsksAbout about_;
};

}  // namespace stentor::auth
