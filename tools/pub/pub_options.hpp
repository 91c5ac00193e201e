#pragma once
// The command line of `stentor pub`.
// Pure; start-up only.

#include "protocol/codec/types.hpp"
#include "tools/client/connection_options.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stentor::tools {

/// Where the payload comes from.
enum class PayloadSource : std::uint8_t { text, empty, file, stdin_whole, stdin_lines };

struct PubOptions {
    ConnectionOptions connection;
    std::optional<std::string> topic;
    std::optional<std::string> message;
    std::string file;
    bool null_message = false;
    bool stdin_file = false;
    bool stdin_lines = false;
    bool retain = false;
    std::uint8_t qos = 0;
    std::uint32_t repeat = 1;
    double repeat_delay_seconds = 0;
    bool json = false;

    PayloadSource source = PayloadSource::text;  // set by parse()

    /// Fails with the first mistake; after success with `connection.help` unset, `topic` is a
    /// valid topic name and `source` says which of the payload options was given.
    [[nodiscard]] static Usage parse(std::span<const std::string_view> words,
                                     PubOptions& options,
                                     std::string& help);
};

}  // namespace stentor::tools
