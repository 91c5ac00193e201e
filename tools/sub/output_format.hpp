#pragma once
// How `stentor sub` prints a message: mosquitto_sub's -F with its % @ and \ sequences, and JSON.
// Pure but for the time zone's name (strftime). One thread.

#include "protocol/codec/packet.hpp"
#include "tools/client/arguments.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::tools {

/// When a message arrived, by the wall clock.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

enum class JsonStyle : std::uint8_t { compact, pretty };

class OutputFormat {
  public:
    /// The payload alone, or "topic payload".
    [[nodiscard]] static OutputFormat payload();
    [[nodiscard]] static OutputFormat topic_and_payload();
    /// Like %j, but a payload that is no UTF-8 becomes base64 with "payload_encoding".
    [[nodiscard]] static OutputFormat json(JsonStyle style);
    /// Fails, with the place, for a sequence that does not exist or is cut short.
    [[nodiscard]] static Result<OutputFormat, UsageError> parse(std::string_view format,
                                                                JsonStyle style);

    /// Appends the message, without a line end. False, and nothing is appended, if %J meets a
    /// payload that is not JSON.
    [[nodiscard]] bool print(const mqtt::PublishView& message, WallTime at, std::string& out) const;

  private:
    enum class Kind : std::uint8_t { literal, parameter, time, nanoseconds, whole_json };
    enum class Align : std::uint8_t { right, left };

    struct Piece {
        Kind kind = Kind::literal;
        char letter = 0;   // of a parameter, or for strftime
        std::string text;  // a literal
        Align align = Align::right;
        char fill = ' ';
        std::size_t width_min = 0;
        std::size_t width_max = std::string::npos;
    };

    [[nodiscard]] static Result<std::size_t, UsageError> parse_parameter(std::string_view format,
                                                                         std::size_t at,
                                                                         Piece& piece);
    [[nodiscard]] bool append(const Piece& piece,
                              const mqtt::PublishView& message,
                              WallTime at,
                              std::string& out) const;

    std::vector<Piece> pieces_;
    JsonStyle style_ = JsonStyle::compact;
};

}  // namespace stentor::tools
