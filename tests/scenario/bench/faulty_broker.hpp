#pragma once
// A broker that does one thing wrong: what a load generator has to notice. MQTT 5.0, QoS 0 and 1,
// everybody who has subscribed to anything gets everything.
// Its thread serves until the destructor; the class is used from one thread.

#include <atomic>
#include <cstdint>
#include <thread>

namespace stentor {

enum class Fault : std::uint8_t {
    none,
    loses,      // every tenth delivery
    doubles,    // every tenth delivery
    reorders,   // every tenth delivery comes after the next one
    hangs_up,   // after the hundredth delivery
    mumbles,    // the hundredth delivery is no MQTT
    refuses,    // every publish, by PUBACK with an error
    forgets_id  // acknowledges what was not sent
};

class FaultyBroker {
  public:
    explicit FaultyBroker(Fault fault);
    ~FaultyBroker();
    FaultyBroker(const FaultyBroker&) = delete;
    FaultyBroker& operator=(const FaultyBroker&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  private:
    void serve();

    Fault fault_;
    int listener_;
    int stop_[2] = {-1, -1};  // a pipe: closing it stops the thread
    std::uint16_t port_ = 0;
    std::thread thread_;
};

}  // namespace stentor
