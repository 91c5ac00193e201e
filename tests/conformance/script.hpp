#pragma once
// Runs one row's steps against a broker and checks, on every packet that comes, what holds in all
// rows (README.md, end of "Packets"). One thread.

#include "tests/conformance/driver.hpp"
#include "tests/conformance/packet_text.hpp"
#include "tests/conformance/table.hpp"
#include "tests/conformance/wire.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::conformance {

/// A step did not go as the row says; what() is "file:line: step: why", and what was received.
class StepFailed : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

class Script {
  public:
    /// Both must outlive the script.
    Script(const Row& row, Broker& broker);
    ~Script();
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

    /// All steps, then `nothing` of every connection that is still up. Throws StepFailed.
    void run();

  private:
    class Connection;

    void run_step(const Step& step);
    [[nodiscard]] Octets bytes_of(PacketText packet, const Connection& to);
    void send(const std::string& client, const Step& step);
    void complete(const std::string& client, std::string_view text);
    void complete_publish(Connection& to, const PacketText& packet);
    void expect(const Step& step);
    void expect_any_order(const Step& step);
    void expect_close(Connection& from);
    void expect_nothing(const std::string& client);

    [[nodiscard]] Connection& connection(const std::string& client);
    [[nodiscard]] Connection& existing(const std::string& client);
    Packet take(Connection& from);
    Packet take_where(Connection& from, const std::function<bool(const Packet&)>& wanted);
    Packet take_expected(Connection& from, std::string_view text);
    void acknowledge(Connection& to, const Packet& publish);
    /// Waits for more from one of them; throws when nothing comes.
    void wait_for_more(const std::vector<Connection*>& from);
    [[nodiscard]] bool ping(Connection& to);

    const Row& row_;
    Broker& broker_;
    Variables variables_;
    std::map<std::string, std::unique_ptr<Connection>> connections_;
};

}  // namespace stentor::conformance
