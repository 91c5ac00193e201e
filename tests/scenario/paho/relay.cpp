#include "tests/scenario/paho/relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <future>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <vector>

namespace stentor::scenario {
namespace {

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error{errno, std::generic_category(), what};
    return result;
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int tcp_socket() { return checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"); }

void no_delay(int socket) {
    const int one = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/// Writes all of it; false when the peer has gone.
bool write_all(int socket, const char* bytes, std::size_t size) {
    while (size != 0) {
        const ssize_t sent = ::send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;
        bytes += sent;
        size -= static_cast<std::size_t>(sent);
    }
    return true;
}

struct Connection {
    int client = -1;
    int broker = -1;
};

}  // namespace

struct Relay::Impl {
    explicit Impl(std::uint16_t broker_port)
        : broker{loopback(broker_port)},
          listener{tcp_socket()},
          wake{checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")} {
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        checked(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size), "bind");
        checked(::listen(listener, 64), "listen");
        checked(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size),
                "getsockname");
        port = ntohs(address.sin_port);
        thread = std::thread{[this] { run(); }};
    }
    ~Impl() {
        command([this] { stopping = true; });
        thread.join();
        close_all();
        ::close(listener);
        ::close(wake);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    /// Has the thread call `change` between two rounds, and waits for it.
    template <class Change>
    void command(Change change) {
        std::packaged_task<void()> task{change};
        const auto done = task.get_future();
        {
            const std::lock_guard lock{mutex};
            tasks.push_back(std::move(task));
        }
        const std::uint64_t one = 1;
        (void)!::write(wake, &one, sizeof one);
        done.wait();
    }

    void run() {
        while (!stopping) {
            std::vector<pollfd> polled{{listener, POLLIN, 0}, {wake, POLLIN, 0}};
            for (const Connection& each : connections) {
                polled.push_back({hold_to_broker ? -1 : each.client, POLLIN, 0});
                polled.push_back({hold_to_client ? -1 : each.broker, POLLIN, 0});
            }
            if (::poll(polled.data(), polled.size(), -1) < 0) continue;
            for (std::size_t i = connections.size(); i-- > 0;) {
                const Connection each = connections[i];
                const bool alive =
                    (polled[2 + 2 * i].revents == 0 || move_bytes(each.client, each.broker)) &&
                    (polled[3 + 2 * i].revents == 0 || move_bytes(each.broker, each.client));
                if (!alive) close_one(i);
            }
            if (polled[0].revents != 0) accept_one();
            if (polled[1].revents != 0) run_tasks();
        }
    }

    static bool move_bytes(int from, int to) {
        std::array<char, 65'536> buffer{};
        const ssize_t got = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        return got > 0 && write_all(to, buffer.data(), static_cast<std::size_t>(got));
    }

    void accept_one() {
        const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;
        const int onward = tcp_socket();
        if (::connect(onward, reinterpret_cast<const sockaddr*>(&broker), sizeof broker) != 0) {
            ::close(client);
            ::close(onward);
            return;
        }
        no_delay(client);
        no_delay(onward);
        connections.push_back({client, onward});
    }

    void run_tasks() {
        std::uint64_t count = 0;
        (void)!::read(wake, &count, sizeof count);
        std::vector<std::packaged_task<void()>> due;
        {
            const std::lock_guard lock{mutex};
            due.swap(tasks);
        }
        for (auto& task : due) task();
    }

    void close_one(std::size_t index) {
        ::close(connections[index].client);
        ::close(connections[index].broker);
        connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(index));
    }
    void close_all() {
        while (!connections.empty()) close_one(connections.size() - 1);
    }

    const sockaddr_in broker;
    const int listener;
    const int wake;
    std::uint16_t port = 0;

    // The thread's.
    std::vector<Connection> connections;
    bool hold_to_broker = false;
    bool hold_to_client = false;
    bool stopping = false;

    std::mutex mutex;
    std::vector<std::packaged_task<void()>> tasks;
    std::thread thread;
};

Relay::Relay(std::uint16_t broker_port) : impl_{std::make_unique<Impl>(broker_port)} {}
Relay::~Relay() = default;

std::uint16_t Relay::port() const noexcept { return impl_->port; }

void Relay::hold(Direction direction) {
    impl_->command([this, direction] {
        (direction == Direction::to_broker ? impl_->hold_to_broker : impl_->hold_to_client) = true;
    });
}

void Relay::cut() {
    impl_->command([this] {
        impl_->close_all();
        impl_->hold_to_broker = false;
        impl_->hold_to_client = false;
    });
}

}  // namespace stentor::scenario
