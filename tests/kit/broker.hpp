#pragma once
// `stentor serve` as a child process of a test, on a free port of 127.0.0.1.
// Used by one thread at a time.

#include "tests/kit/process.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stentor::kit {

struct BrokerOptions {
    int shards = 1;
    std::string data_directory = ":memory:";
    std::vector<std::string> settings{};   // "limits.connect_timeout=5s"
    std::vector<std::string> arguments{};  // behind `serve`, besides the ones made of the above
};

/// The program beside the tests, or the one that STENTOR_BINARY names, and its arguments.
[[nodiscard]] std::vector<std::string> broker_command(const BrokerOptions& options = {});

class Broker {
  public:
    /// Runs broker_command(). Returns once the broker has said where it listens, and so serves.
    /// Throws Timeout with what it said instead.
    explicit Broker(const BrokerOptions& options = {});

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] Process& process() noexcept { return process_; }

    /// SIGTERM, then waits for the end; a healthy broker returns {.code = 0}.
    ExitStatus stop(std::chrono::milliseconds limit = kPatience);

    /// Resident memory (VmRSS) now. Throws when it has ended.
    [[nodiscard]] std::size_t resident_bytes() const;

  private:
    Process process_;
    std::uint16_t port_ = 0;
};

}  // namespace stentor::kit
