#include "server/admin/http_server.hpp"

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "server/admin/http_connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;

namespace {

/// Memory is exhausted, or we have made a mistake: one connection's end, not everybody's.
void report(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        STENTOR_LOG(error, "http_failed", "closing an HTTP connection: {}", error.what());
    }
}

}  // namespace

struct HttpServer::Impl {
    /// A listener and its readiness; the listener stays whose it is.
    struct Acceptor {
        const server::Listener* listener;
        const server::Door* door;
        asio::posix::stream_descriptor descriptor;
        asio::steady_timer pause;
    };

    Impl(const HttpLimits& the_limits,
         std::span<const server::Listener> the_listeners,
         std::span<const server::Door> the_doors,
         server::AddressGate& the_addresses,
         HttpHandler& the_handler)
        : limits{the_limits},
          doors{the_doors},
          addresses{the_addresses},
          handler{the_handler},
          by_listener(the_listeners.size()) {
        for (std::size_t i = 0; i < the_listeners.size(); ++i) {
            if (the_doors[i].speech != server::Door::Speech::http) continue;
            // Of its own: Asio closes what it is given.
            const int mine = ::dup(the_listeners[i].descriptor());
            STENTOR_ASSERT(mine >= 0, "a process that starts can have one more descriptor");
            acceptors.push_back(
                std::make_unique<Acceptor>(Acceptor{&the_listeners[i],
                                                    &the_doors[i],
                                                    asio::posix::stream_descriptor{io, mine},
                                                    asio::steady_timer{io}}));
        }
    }

    void accept_next(Acceptor& acceptor);
    void accept_some(Acceptor& acceptor);
    void serve(server::HttpArrival arrival);
    void stop();
    void ended(const std::shared_ptr<HttpConnection>& connection);
    [[nodiscard]] std::size_t& open_beside(std::uint16_t listener) noexcept;

    const HttpLimits limits;
    const std::span<const server::Door> doors;
    server::AddressGate& addresses;
    HttpHandler& handler;
    HttpCounters counters;
    std::vector<std::atomic<std::uint64_t>> by_listener;
    asio::io_context io{1};
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work{
        asio::make_work_guard(io)};
    std::vector<std::unique_ptr<Acceptor>> acceptors;
    std::unordered_set<std::shared_ptr<HttpConnection>> open;
    std::size_t open_here = 0;   // of http:// and https://
    std::size_t taken_over = 0;  // of auto://
    bool stopping = false;
    std::optional<asio::steady_timer> farewell;
    std::thread thread;
};

HttpServer::HttpServer(const HttpLimits& limits,
                       std::span<const server::Listener> listeners,
                       std::span<const server::Door> doors,
                       server::AddressGate& addresses,
                       HttpHandler& handler)
    : impl_{std::make_unique<Impl>(limits, listeners, doors, addresses, handler)} {}

HttpServer::~HttpServer() { STENTOR_ASSERT(!impl_->thread.joinable(), "finish() comes before"); }

asio::io_context& HttpServer::io() noexcept { return impl_->io; }
const HttpCounters& HttpServer::counters() const noexcept { return impl_->counters; }
std::uint64_t HttpServer::connections(std::uint16_t listener) const noexcept {
    return listener < impl_->by_listener.size() ? impl_->by_listener[listener].load() : 0;
}

void HttpServer::start() {
    for (const auto& acceptor : impl_->acceptors) impl_->accept_next(*acceptor);
    impl_->thread = std::thread{[this] {
        (void)::pthread_setname_np(::pthread_self(), "http");
        impl_->io.run();
    }};
}

void HttpServer::take(server::HttpArrival arrival) {
    // A handler of Asio is copied nowhere, but has to be able to hold what only moves.
    asio::post(impl_->io, [impl = impl_.get(), arrival = std::move(arrival)]() mutable {
        impl->serve(std::move(arrival));
    });
}

void HttpServer::finish() {
    if (!impl_->thread.joinable()) return;
    asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
    impl_->thread.join();
    // What was taken too late, or was given up, ends here: places go before their gate.
    impl_->farewell.reset();
    impl_->io.restart();
    for (const auto& connection : impl_->open) connection->abandon();
    while (impl_->io.poll_one() != 0) {
    }
    impl_->open.clear();
}

void HttpServer::Impl::accept_next(Acceptor& acceptor) {
    acceptor.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                   [this, &acceptor](const boost::system::error_code& error) {
                                       if (!error && !stopping) accept_some(acceptor);
                                   });
}

void HttpServer::Impl::accept_some(Acceptor& acceptor) {
    constexpr int kAtOnce = 16;
    for (int i = 0; i < kAtOnce; ++i) {
        server::Accepted accepted;
        server::RefusedAtDoor why{};
        switch (server::accept_one(
            *acceptor.listener, *acceptor.door, &addresses, monotonic_now(), accepted, why)) {
            case server::AcceptOutcome::accepted: {
                server::HttpArrival arrival;
                arrival.descriptor = std::move(accepted.descriptor);
                arrival.channel =
                    std::make_unique<server::Channel>(*acceptor.door, std::move(accepted.peer));
                arrival.place = std::move(accepted.place);
                arrival.address = std::move(accepted.address);
                serve(std::move(arrival));
                break;
            }
            case server::AcceptOutcome::refused:
                ++counters.refused_at_door[static_cast<std::size_t>(why)];
                break;
            case server::AcceptOutcome::no_descriptors:
                acceptor.pause.expires_after(limits.accept_pause);
                acceptor.pause.async_wait(
                    [this, &acceptor](const boost::system::error_code& error) {
                        if (!error) accept_next(acceptor);
                    });
                return;
            case server::AcceptOutcome::nobody_waits:
                accept_next(acceptor);
                return;
        }
    }
    accept_next(acceptor);
}

void HttpServer::Impl::serve(server::HttpArrival arrival) {
    if (stopping) return;
    std::size_t& beside = open_beside(arrival.channel->peer().listener);
    if (beside >= limits.connections_max) {
        ++counters.refused_at_door[static_cast<std::size_t>(
            server::RefusedAtDoor::http_connections_max)];
        return;
    }
    const auto connection = std::make_shared<HttpConnection>(
        io, limits, addresses, handler, counters, std::move(arrival));
    open.insert(connection);
    ++beside;
    ++counters.connections;
    ++by_listener[connection->listener()];
    asio::co_spawn(io, connection->run(), [this, connection](const std::exception_ptr& failure) {
        ended(connection);
        if (failure) report(failure);
    });
}

/// Those that it is counted among: who besieges an auto:// port does not shut the operators' door.
std::size_t& HttpServer::Impl::open_beside(std::uint16_t listener) noexcept {
    return doors[listener].speech == server::Door::Speech::http ? open_here : taken_over;
}

void HttpServer::Impl::ended(const std::shared_ptr<HttpConnection>& connection) {
    open.erase(connection);
    --open_beside(connection->listener());
    --counters.connections;
    --by_listener[connection->listener()];
    if (stopping && open.empty() && farewell) io.stop();
}

void HttpServer::Impl::stop() {
    stopping = true;
    acceptors.clear();
    work.reset();
    if (open.empty()) {
        io.stop();
        return;
    }
    farewell.emplace(io, limits.farewell_time);
    farewell->async_wait([this](const boost::system::error_code& error) {
        if (!error) io.stop();
    });
    for (const auto& connection : open) connection->finish();
}

}  // namespace stentor::admin
