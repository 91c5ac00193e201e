#pragma once
// A broker as a scenario needs it: a real process on free ports, Mosquitto's or ours, so that the
// same scenario runs against both.
// Used by one thread at a time.

#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::scenario {

enum class BrokerKind { mosquitto, stentor };

/// Our binary, broker and tools: STENTOR_BINARY, or the one of this build.
[[nodiscard]] std::string stentor_program();

/// Names for GoogleTest.
[[nodiscard]] std::string to_string(BrokerKind kind);

/// Certificates for localhost, made once per process with the openssl command.
struct Certificates {
    std::string ca;                  // what clients trust
    std::string other_ca;            // what they should not
    std::string server, server_key;  // for "localhost" and 127.0.0.1
    std::string wrong_name, wrong_name_key;
    std::string client, client_key;
};
[[nodiscard]] const Certificates& certificates();

/// What a scenario asks for besides a plain anonymous listener.
struct BrokerNeeds {
    bool unix_socket = false;
    bool tls = false;                       // a second listener, at tls_port()
    bool web_socket = false;                // both listeners; ours only
    bool tls_wrong_name = false;            // the certificate names another host
    bool tls_client_certificate = false;    // demands one
    std::optional<std::string> password{};  // of user "ann"; nobody else may connect
};

class Broker {
  public:
    /// Throws when it is not installed or does not start.
    [[nodiscard]] static std::unique_ptr<Broker> start(BrokerKind kind, BrokerNeeds needs);
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;
    virtual ~Broker() = default;

    [[nodiscard]] std::string port() const { return std::to_string(port_); }
    [[nodiscard]] std::string tls_port() const { return std::to_string(tls_port_); }
    [[nodiscard]] std::string unix_path() const { return dir_.file("broker.sock"); }

    /// kill -9 and a new process on the same ports; what is not on disk is forgotten.
    void kill();
    void start_again();

  protected:
    Broker() = default;
    /// Spawns the process and waits until it serves; false if it has ended instead.
    virtual bool spawn() = 0;

    kit::TempDir dir_;
    BrokerNeeds needs_;
    std::uint16_t port_ = 0;
    std::uint16_t tls_port_ = 0;
    std::optional<kit::Process> process_;
};

}  // namespace stentor::scenario
