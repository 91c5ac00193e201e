#pragma once
// The command line of `stentor sub`.
// Pure; start-up only.

#include "tools/client/connection_options.hpp"
#include "tools/sub/output_format.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::tools {

struct SubOptions {
    ConnectionOptions connection;
    std::vector<std::string> topics;
    std::vector<std::string> filtered_out;
    std::vector<std::string> unsubscribe;
    std::uint8_t qos = 0;
    std::optional<std::uint32_t> count;
    std::optional<double> timeout_seconds;
    bool verbose = false;
    bool no_line_end = false;
    bool no_retained = false;
    bool retained_only = false;
    bool remove_retained = false;
    bool retain_as_published = false;
    bool exit_when_subscribed = false;
    bool pretty = false;
    bool json = false;
    std::optional<std::string> format_text;
    double random_filter_percent = 100;

    OutputFormat format = OutputFormat::payload();  // set by parse()

    /// Fails with the first mistake; after success with `connection.help` unset, all filters are
    /// valid and there is at least one topic or filter to unsubscribe from.
    [[nodiscard]] static Usage parse(std::span<const std::string_view> words,
                                     SubOptions& options,
                                     std::string& help);
};

}  // namespace stentor::tools
