// The broker as people run it: `stentor serve` as a process of the row's own, reached over TCP.
// CMake passes the path of the binary in.

#include "tests/conformance/driver.hpp"
#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <poll.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <system_error>
#include <utility>
#include <vector>

namespace stentor::conformance {
namespace {

// A limit of failure only: every wait ends when something comes.
constexpr int kPatienceMs = 10'000;

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::generic_category(), what};
}

class TcpWire final : public Wire {
  public:
    explicit TcpWire(std::uint16_t port)
        : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        if (socket_ < 0) fail("socket");
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int one = 1;
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            const int error = errno;
            drop();
            errno = error;
            fail("connect");
        }
    }
    ~TcpWire() override { TcpWire::drop(); }

    void send(std::string_view octets) override {
        while (!octets.empty()) {
            const ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) return;  // closed at the other end; receive() will say so
            octets.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    std::optional<Octets> receive() override {
        std::array<char, 65'536> buffer{};
        while (true) {
            const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got > 0) return Octets{buffer.data(), static_cast<std::size_t>(got)};
            if (got == 0 || errno == ECONNRESET) return std::nullopt;
            if (errno == EAGAIN) return Octets{};
            if (errno != EINTR) fail("recv");
        }
    }

    void drop() override {
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
    }

    [[nodiscard]] int descriptor() const { return socket_; }

  private:
    int socket_;
};

// The port in "... mqtt://127.0.0.1:12345 ...".
std::uint16_t port_in(std::string_view line, std::string_view before) {
    const auto at = line.find(before);
    return static_cast<std::uint16_t>(std::stoi(std::string{line.substr(at + before.size())}));
}

class RealBroker final : public Broker {
  public:
    RealBroker(const std::string& program, const Row& row)
        : process_{command(program, row, files_)} {
        static constexpr std::string_view kDoor = "mqtt://127.0.0.1:";
        const std::string line =
            process_.wait_for_line_if(kit::Stream::out, [](std::string_view text) {
                return text.find("listening") != std::string_view::npos &&
                       text.find(kDoor) != std::string_view::npos;
            });
        port_ = port_in(line, kDoor);
    }

    std::unique_ptr<Wire> connect() override { return std::make_unique<TcpWire>(port_); }

    bool wait(std::span<Wire* const> wires) override {
        std::vector<pollfd> polled;
        for (Wire* wire : wires) {
            polled.push_back({dynamic_cast<TcpWire&>(*wire).descriptor(), POLLIN, 0});
        }
        while (true) {
            const int ready = ::poll(polled.data(), polled.size(), kPatienceMs);
            if (ready >= 0) return ready > 0;
            if (errno != EINTR) fail("poll");
        }
    }

    void advance(std::chrono::milliseconds /*by*/) override {
        throw std::logic_error{"real time does not jump"};
    }
    void stop() override { process_.terminate(); }
    std::string log() const override { return process_.output(kit::Stream::err); }

  private:
    static std::vector<std::string> command(const std::string& program,
                                            const Row& row,
                                            const kit::TempDir& files) {
        std::vector<std::string> words{
            program, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", ":memory:"};
        for (const auto& [name, content] : row.files) files.write(name, content);
        for (const auto& [key, value] : row.settings) {
            words.emplace_back("--set");
            words.push_back(key + "=" +
                            (value.starts_with('@') ? files.file(value.substr(1)) : value));
        }
        return words;
    }

    kit::TempDir files_;
    kit::Process process_;
    std::uint16_t port_ = 0;
};

class RealDriver final : public Driver {
  public:
    explicit RealDriver(std::string program) : program_{std::move(program)} {}
    std::string cannot_run(const Row& row) const override {
        for (const std::string& need : row.needs) {
            if (need != "acl") return "needs " + need;
        }
        return {};
    }
    unsigned runs() const override { return 1; }
    std::unique_ptr<Broker> start(const Row& row, unsigned /*run*/) override {
        return std::make_unique<RealBroker>(program_, row);
    }

  private:
    std::string program_;
};

}  // namespace

std::unique_ptr<Driver> make_driver() { return std::make_unique<RealDriver>(STENTOR_BINARY); }

}  // namespace stentor::conformance
