#pragma once
// Paho's asynchronous C++ client, made to wait: every call returns when the broker has answered.
// A wait that does not come true within kit::kPatience throws kit::Timeout.
// Each client is used by one thread at a time.

#include <mqtt/async_client.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace stentor::scenario {

/// A connection that keeps Paho's one network thread awake: without traffic on others, a new one
/// is noticed only after a second. To be connected first.
class WakeUp {
  public:
    explicit WakeUp(std::uint16_t port);
    ~WakeUp();
    WakeUp(const WakeUp&) = delete;
    WakeUp& operator=(const WakeUp&) = delete;

    void wake();
    /// Returns once the network thread has finished all that it was doing.
    void round_trip();

  private:
    mqtt::async_client client_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int sent_ = 0;
    int received_ = 0;
};

/// Paths of PEM files; the client looks whether the broker is who it says.
struct ClientTls {
    std::string authority;
    std::string certificate{};  // empty: it shows none
    std::string key{};
    std::string web_path{};  // empty: MQTT; else in a WebSocket, which asks for this
};

struct ClientOptions {
    WakeUp* wake_up = nullptr;
    std::string id{};
    int version = MQTTVERSION_5;
    bool clean = true;
    /// 5.0: sent when not 0. 3.1.1: `clean` says it all.
    std::uint32_t session_expiry_seconds = 0;
    std::uint16_t keep_alive_seconds = 60;
    std::optional<mqtt::message> will{};
    std::uint32_t will_delay_seconds = 0;
    std::optional<ClientTls> tls{};
};

class Client {
  public:
    Client(std::uint16_t port, ClientOptions options);
    /// Closes the connection with DISCONNECT if it is open.
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Returns the Session Present flag. Again after a loss: with `clean` as given.
    bool connect() { return connect(options_.clean); }
    bool connect(bool clean);
    void disconnect();

    /// Returns the reason code or granted QoS.
    int subscribe(const std::string& filter,
                  int qos,
                  const mqtt::subscribe_options& options = {},
                  const mqtt::properties& properties = {});
    void unsubscribe(const std::string& filter);

    /// Returns when the message is acknowledged (QoS 0: written).
    void publish(const mqtt::message& message);
    void publish(const std::string& topic,
                 const std::string& payload,
                 int qos,
                 bool retain = false);
    /// Does not wait for the acknowledgement.
    void publish_unanswered(const std::string& topic, const std::string& payload, int qos);
    /// Waits until everything that was published is acknowledged.
    void wait_until_answered();

    /// The next message.
    mqtt::const_message_ptr receive();
    /// How many receive() would return at once.
    std::size_t waiting();
    /// The next `count` of them, as "topic payload".
    std::vector<std::string> receive(std::size_t count);

    /// Waits until the connection is lost. Returns the reason of the broker's DISCONNECT, -1
    /// without one.
    int wait_until_lost();

    [[nodiscard]] mqtt::async_client& paho() noexcept { return client_; }
    /// Of the last connect().
    [[nodiscard]] const mqtt::properties& connack() const noexcept { return connack_; }

  private:
    void wait_for(const char* what, const std::function<bool()>& condition);

    const ClientOptions options_;
    mqtt::async_client client_;
    mqtt::properties connack_;
    std::vector<mqtt::delivery_token_ptr> unanswered_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<mqtt::const_message_ptr> messages_;
    bool lost_ = false;
    int reason_ = -1;
};

/// "topic payload", for comparison.
[[nodiscard]] std::string text(const mqtt::const_message_ptr& message);

}  // namespace stentor::scenario
