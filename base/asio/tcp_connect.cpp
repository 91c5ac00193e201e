#include "base/asio/tcp_connect.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace stentor {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::chrono::milliseconds kHeadStart{250};

/// Shared with the connects under way, which may end after the coroutine has gone.
struct Race {
    explicit Race(const asio::any_io_executor& executor) : changed{executor} {}

    std::vector<tcp::socket> sockets;
    asio::steady_timer changed;
    std::size_t running = 0;
    std::optional<std::size_t> winner;
    boost::system::error_code last_error = asio::error::host_unreachable;
};

void start(const std::shared_ptr<Race>& race,
           std::size_t index,
           const tcp::endpoint& endpoint,
           const std::string& bind_address) {
    auto& socket = race->sockets[index];
    boost::system::error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error && !bind_address.empty()) {
        const auto local = asio::ip::make_address(bind_address, error);
        if (!error) socket.bind({local, 0}, error);
    }
    if (error) {
        race->last_error = error;
        return;
    }
    ++race->running;
    socket.async_connect(endpoint, [race, index](boost::system::error_code result) {
        --race->running;
        if (result) {
            race->last_error = result;
        } else if (!race->winner) {
            race->winner = index;
        }
        race->changed.cancel();
    });
}

}  // namespace

asio::awaitable<Result<tcp::socket>> connect_to_first(std::vector<tcp::endpoint> endpoints,
                                                      std::string bind_address) {
    const auto executor = co_await asio::this_coro::executor;
    auto race = std::make_shared<Race>(executor);
    struct CloseLosers {
        Race& race;
        ~CloseLosers() {
            for (auto& socket : race.sockets) {
                boost::system::error_code ignored;
                socket.close(ignored);
            }
        }
    };
    const CloseLosers close_losers{*race};
    race->sockets.reserve(endpoints.size());
    for (std::size_t i = 0; i < endpoints.size(); ++i) race->sockets.emplace_back(executor);

    std::size_t next = 0;
    while (!race->winner && (next < endpoints.size() || race->running > 0)) {
        if (next < endpoints.size()) {
            const auto before = race->running;
            start(race, next, endpoints[next], bind_address);
            ++next;
            if (race->running == before) continue;  // failed at once
        }
        race->changed.expires_after(next < endpoints.size() ? kHeadStart : std::chrono::hours{24});
        co_await race->changed.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (!race->winner) co_return race->last_error;
    auto socket = std::move(race->sockets[*race->winner]);
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    co_return socket;
}

}  // namespace stentor
