// The broker as people run it: `stentor serve` as a process of the row's own, reached over TCP.
// CMake passes the path of the binary in.
//
// Rows that move the clock run under libfaketime (Debian's package faketime): the broker's clocks
// are the machine's plus what a file says at each reading.
//
// STENTOR_CONFORMANCE_SHARDS is the number of shards, of rows that do not say how many they want.

#include "tests/conformance/driver.hpp"
#include "tests/conformance/scram_dialect.hpp"
#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <poll.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <utility>
#include <vector>

namespace stentor::conformance {
namespace {

// A limit of failure only: every wait ends when something comes.
constexpr int kPatienceMs = 10'000;

// Not under ThreadSanitizer: it and libfaketime both want to be the first library. Such rows have
// one shard anyway.
#ifdef __SANITIZE_THREAD__
constexpr bool kMovesClocks = false;
#else
constexpr bool kMovesClocks = true;
#endif

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

std::string faketime_library() {
    for (const auto& folder : std::filesystem::directory_iterator{"/usr/lib"}) {
        const auto library = folder.path() / "faketime/libfaketimeMT.so.1";
        if (std::filesystem::exists(library)) return library;
    }
    throw std::runtime_error{"libfaketimeMT.so.1 is missing: install the package faketime"};
}

constexpr std::string_view kUser = "somebody";
constexpr std::string_view kPassword = "pencil";

class RealBroker final : public Broker {
  public:
    RealBroker(const std::string& program, const Row& row)
        : clock_{files_.file("clock")},
          process_{command(program, row, files_), {environment(row, clock_)}} {
        static constexpr std::string_view kDoor = "mqtt://127.0.0.1:";
        const std::string line =
            process_.wait_for_line_if(kit::Stream::out, [](std::string_view text) {
                return text.find("listening") != std::string_view::npos &&
                       text.find(kDoor) != std::string_view::npos;
            });
        port_ = port_in(line, kDoor);
        if (row.needs.contains("test-auth")) {
            scram_.emplace(std::string{kUser}, std::string{kPassword});
        }
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

    void advance(std::chrono::milliseconds by) override {
        // In steps, because what happens at one deadline may set the next.
        round_trip();
        const std::chrono::milliseconds from = offset_;
        for (int step = 1; step <= kSteps; ++step) {
            offset_ = from + by * step / kSteps;
            set_clock(clock_, offset_);
            round_trip();
        }
    }
    void before_send(std::string_view client, PacketText& packet) override {
        if (scram_) scram_->before_send(client, packet);
    }
    void after_receive(std::string_view client, Packet& packet) override {
        if (scram_) scram_->after_receive(client, packet);
    }
    void stop() override { process_.terminate(); }
    std::string log() const override { return process_.output(kit::Stream::err); }

  private:
    static constexpr int kSteps = 50;

    // The file is replaced, never seen half written.
    static void set_clock(const std::string& file, std::chrono::milliseconds offset) {
        const std::string next = file + ".next";
        std::ofstream{next} << '+' << offset.count() / 1000 << '.' << std::setfill('0')
                            << std::setw(3) << offset.count() % 1000 << '\n';
        std::filesystem::rename(next, file);
    }

    static std::vector<std::string> environment(const Row& row, const std::string& clock) {
        if (!row.needs.contains("clock")) return {};
        set_clock(clock, std::chrono::milliseconds{0});
        const char* sanitizer = std::getenv("ASAN_OPTIONS");
        return {"LD_PRELOAD=" + faketime_library(),
                "FAKETIME_TIMESTAMP_FILE=" + clock,
                "FAKETIME_NO_CACHE=1",
                // A sanitizer wants to be the first library, and need not be.
                "ASAN_OPTIONS=verify_asan_link_order=0:" +
                    std::string{sanitizer == nullptr ? "" : sanitizer}};
    }

    // Once it returns, the only shard has read all that was sent before, and has acted on what was
    // due before: it handles its connections in turns, and each turn begins with the clock.
    void round_trip() {
        static constexpr std::string_view kConnect{"\x10\x11\0\4MQTT\4\2\0\0\0\5probe", 19};
        static constexpr std::string_view kPingreq{"\xc0\0", 2};
        static constexpr std::string_view kDisconnect{"\xe0\0", 2};
        TcpWire probe{port_};
        Wire* const wire = &probe;
        for (const std::string_view request : {kConnect, kPingreq}) {
            probe.send(request);
            if (!wait({&wire, 1})) throw std::runtime_error{"the broker does not answer"};
            (void)probe.receive();
        }
        probe.send(kDisconnect);
    }

    static std::vector<std::string> command(const std::string& program,
                                            const Row& row,
                                            const kit::TempDir& files) {
        std::vector<std::string> words{
            program, "serve", "--listen", "mqtt://127.0.0.1:0", "--data", ":memory:"};
        const auto set = [&](const std::string& setting) {
            words.emplace_back("--set");
            words.push_back(setting);
        };
        for (const auto& [name, content] : row.files) files.write(name, content);
        if (row.needs.contains("clock")) {
            set("node.shards=1");
        } else if (const char* shards = std::getenv("STENTOR_CONFORMANCE_SHARDS")) {
            set("node.shards=" + std::string{shards});
        }
        if (row.needs.contains("test-auth")) set("auth.password_file=" + users(program, files));
        for (const auto& [key, value] : row.settings) {
            set(key + "=" + (value.starts_with('@') ? files.file(value.substr(1)) : value));
        }
        return words;
    }

    // The password file, made as an operator would.
    static std::string users(const std::string& program, const kit::TempDir& files) {
        std::string file = files.file("users");
        const kit::Finished made = kit::run(
            {program, "user", "add", "--scram", "--password-file", "-", file, std::string{kUser}},
            kPassword);
        if (made.status.code != 0) throw std::runtime_error{"stentor user add: " + made.err};
        return file;
    }

    kit::TempDir files_;
    std::string clock_;
    kit::Process process_;
    std::uint16_t port_ = 0;
    std::chrono::milliseconds offset_{0};
    std::optional<ScramDialect> scram_;
};

class RealDriver final : public Driver {
  public:
    explicit RealDriver(std::string program) : program_{std::move(program)} {}
    std::string cannot_run(const Row& row) const override {
        if (row.needs.contains("sim")) return "needs sim";
        if (!kMovesClocks && row.needs.contains("clock")) return "needs clock";
        return "";
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
