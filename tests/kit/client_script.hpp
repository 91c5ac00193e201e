#pragma once
// Scripts for tests of ClientSession that read as time: what the server says, what the client
// sends, what the caller is told, each as a line of text.
// Tests only. One thread.

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/session/client/client_session.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt::test {

/// How the server's bytes arrive.
enum class Arrival { whole, byte_by_byte };

/// Bytes of the server's packets.
Bytes connack(bool session_present = false,
              ReasonCode reason = ReasonCode::success,
              ByteView properties = {},
              ProtocolVersion version = ProtocolVersion::v5);
Bytes publish(const Publish& packet, ProtocolVersion version = ProtocolVersion::v5);
Bytes ack(PacketType type,
          std::uint16_t packet_id,
          ReasonCode reason = ReasonCode::success,
          ProtocolVersion version = ProtocolVersion::v5);
Bytes suback(std::uint16_t packet_id, std::vector<ReasonCode> reasons);
Bytes unsuback(std::uint16_t packet_id, std::vector<ReasonCode> reasons);
Bytes server_disconnect(ReasonCode reason);
Bytes pingresp();

/// A property block from numbers and texts.
Bytes properties(const std::function<void(PropertyWriter&)>& write);

class Script {
  public:
    explicit Script(ClientOptions options, Arrival arrival = Arrival::whole);

    /// Time passes; what falls due on the way is done.
    Script& at(std::chrono::milliseconds time);
    Script& connects(CleanStart clean_start = CleanStart::yes);
    /// connects() and an accepting CONNACK, whose traces are not looked at.
    Script& is_connected(ByteView connack_properties = {});
    Script& loses_connection();
    Script& receives(const Bytes& bytes);
    /// Anything else a caller can do.
    Script& does(const std::function<void(ClientSession&, Instant, WireBuffer&)>& action);
    /// "ok" or the refusal's name.
    Script& publishes(QoS qos,
                      std::string_view topic,
                      std::string_view payload = "",
                      std::string_view expected = "ok",
                      ByteView property_block = {});
    Script& subscribes(std::string_view filter, std::string_view expected = "ok");

    /// The packets sent since the last look, in order: "PUBLISH q1 id1 dup a/b=payload".
    Script& sends(const std::vector<std::string>& packets);
    /// The events since the last look, in order: "done 1 token 7 success".
    Script& tells(const std::vector<std::string>& events);
    Script& expects(bool condition, std::string_view what);

    ClientSession session;

  private:
    void drain(ByteView input);

    Arrival arrival_;
    Instant now_;
    std::uint64_t next_token_ = 1;
    WireBuffer out_;
    std::vector<std::string> events_;
};

/// Plays a script in every way the server's bytes may arrive.
void play(const ClientOptions& options, const std::function<void(Script&)>& script);

}  // namespace stentor::mqtt::test
