#include "auth/http/client/http_authenticator.hpp"

#include "auth/executor.hpp"
#include "auth/http/client/service_client.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <openssl/ssl.h>
#include <pthread.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

Result<std::unique_ptr<ssl::context>, HttpLoginProblem> trust_in(const std::string& pem) {
    auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
    SSL_CTX* native = context->native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    boost::system::error_code error;
    context->set_verify_mode(ssl::verify_peer, error);
    if (pem.empty()) {
        context->set_default_verify_paths(error);
        return context;
    }
    context->add_certificate_authority(asio::buffer(pem), error);
    const auto* const known = X509_STORE_get0_objects(SSL_CTX_get_cert_store(native));
    if (error || sk_X509_OBJECT_num(known) == 0) {
        return HttpLoginProblem{
            .what = "no certificate of an authority can be read: " +
                    (error ? error.message() : std::string{"the file has none"}),
            .hint = "a PEM file with the certificate of whoever signed the service's is needed"};
    }
    return context;
}

}  // namespace

Result<void, HttpLoginProblem> check_authorities(const std::string& pem) {
    STENTOR_TRY(const auto trust, trust_in(pem));
    (void)trust;
    return {};
}

struct HttpLogins::Impl final : ServiceClient::Asker {
    Impl(asio::io_context& loop,
         LoginCounters& counters,
         HttpLoginOptions options,
         std::unique_ptr<ssl::context> trust)
        : client{std::make_shared<ServiceClient>(
              loop,
              ServiceOptions{.uses_tls = options.uses_tls,
                             .host = std::move(options.host),
                             .port = options.port,
                             .target = std::move(options.target),
                             .headers = std::move(options.headers),
                             .timeout = options.timeout,
                             .connections_max = options.connections_max,
                             .queue_questions_max = kHttpQueueMax},
              std::move(trust),
              *this)},
          desk{std::move(options.desk), *client, counters} {}

    [[nodiscard]] std::optional<SecretText> begin(QuestionId id) override { return desk.begin(id); }
    void answered(QuestionId id, const ServiceClient::Reply& reply) override {
        desk.answered(id, reply, monotonic_now(), wall_clock_unix_ms());
    }
    void turned_away(QuestionId id) override { desk.turned_away(id); }

    void stop() {
        client->stop();
        desk.send_all_away();
    }

    std::atomic<std::size_t> waiting{0};
    // The loop's thread only.
    std::shared_ptr<ServiceClient> client;
    LoginDesk desk;
};

struct HttpLoop::Impl {
    using Work = asio::executor_work_guard<asio::io_context::executor_type>;

    /// `task` runs on the loop's thread, before whatever stop() does; or the loop has stopped, and
    /// it is left alone.
    template <class Task>
    [[nodiscard]] bool post(Task&& task) {
        const std::lock_guard lock{mutex};
        if (has_stopped) return false;
        asio::post(io, std::forward<Task>(task));
        return true;
    }

    void add(std::shared_ptr<HttpLogins::Impl> logins) {
        const std::lock_guard lock{mutex};
        all.push_back(std::move(logins));
        if (thread.joinable() || has_stopped) return;
        work.emplace(io.get_executor());
        thread = std::thread{[this] { io.run(); }};
        ::pthread_setname_np(thread.native_handle(), "auth-http");
    }

    void remove(const std::shared_ptr<HttpLogins::Impl>& logins) {
        const std::lock_guard lock{mutex};
        if (has_stopped) return;  // stop() ends it
        std::erase(all, logins);
        asio::post(io, [logins] { logins->stop(); });
    }

    LoginCounters counters;  // before `io`, whose handlers hold desks
    asio::io_context io{1};
    std::mutex mutex;  // guards what follows
    std::optional<Work> work;
    std::vector<std::shared_ptr<HttpLogins::Impl>> all;
    bool has_stopped = false;
    std::thread thread;
};

HttpLoop::HttpLoop() : impl_{std::make_unique<Impl>()} {}

HttpLoop::~HttpLoop() { stop(); }

void HttpLoop::stop() {
    {
        const std::lock_guard lock{impl_->mutex};
        if (std::exchange(impl_->has_stopped, true)) return;
        // Behind all that has been posted. The thread ends with the last thing it waits for.
        asio::post(impl_->io, [all = std::move(impl_->all)] {
            for (const auto& each : all) each->stop();
        });
        impl_->work.reset();
    }
    if (impl_->thread.joinable()) impl_->thread.join();
}

HttpLogins::HttpLogins(std::shared_ptr<Impl> impl, HttpLoop::Impl& loop) noexcept
    : impl_{std::move(impl)}, loop_{&loop} {}

// A request holds its chain and so this object: nobody waits any more.
HttpLogins::~HttpLogins() { loop_->remove(impl_); }

Result<std::shared_ptr<const HttpLogins>, HttpLoginProblem> HttpLogins::open(
    HttpLoginOptions options, HttpLoop& loop) {
    std::unique_ptr<ssl::context> trust;
    if (options.uses_tls) {
        STENTOR_TRY(trust, trust_in(options.authorities));
    }
    auto impl = std::make_shared<Impl>(
        loop.impl_->io, loop.impl_->counters, std::move(options), std::move(trust));
    loop.impl_->add(impl);
    // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): its constructor is nobody else's
    return std::shared_ptr<const HttpLogins>{new HttpLogins{std::move(impl), *loop.impl_}};
}

void HttpLogins::ask(Request request) const {
    WaitingPlace place{impl_->waiting};
    if (++impl_->waiting > kHttpWaitingMax) {
        std::move(request).deny(Outcome::overloaded, kNoRoom);
        return;
    }
    struct Ask {
        std::shared_ptr<Impl> impl;
        LoginDesk::Visitor visitor;
        void operator()() { impl->desk.ask(std::move(visitor), monotonic_now()); }
    };
    Ask task{impl_, {std::move(request), std::move(place)}};
    if (loop_->post(std::move(task))) return;
    std::move(task.visitor.request).deny(Outcome::unavailable, "the broker is stopping");
}

const LoginCounters& HttpLoop::counters() const noexcept { return impl_->counters; }

void HttpAuthenticator::ask(Request request) const {
    const bool has_certificate = !request.credentials().certificate_name.empty();
    if (has_certificate != (about_ == HttpAsksAbout::certificates)) {
        std::move(request).pass_on();
        return;
    }
    logins_->ask(std::move(request));
}

std::uint64_t HttpAuthenticator::voucher(std::string_view /*name*/, Locality /*locality*/) const {
    constexpr std::uint64_t kService = 3;
    return kService;
}

}  // namespace stentor::auth
