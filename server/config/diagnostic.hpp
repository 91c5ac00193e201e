#pragma once
// What is wrong with the configuration, where, and what to write instead.
// Pure values; rendering is separate so that commands decide where it goes. Any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::config {

/// A place in a file. Lines and columns count from 1; columns count characters (code points).
struct FilePlace {
    std::uint32_t line = 0;  // 0: the file as a whole
    std::uint32_t column = 0;
    std::uint32_t length = 1;  // characters to underline
};

struct Diagnostic {
    /// The file's name, or "environment variable STENTOR_...", "--set limits...", "--listen".
    std::string source;
    FilePlace place;
    std::string line_text;  // the whole line for the caret; empty if there is none
    std::string what;
    std::string hint;  // may be empty
};

/// For people, on several lines, the last one ended:
///     stentor.toml:7:1: error: unknown key "packet_byte_max" in [limits]
///        7 | packet_byte_max = "1MiB"
///          | ^~~~~~~~~~~~~~~
///          = did you mean "packet_bytes_max"?
[[nodiscard]] std::string render(const Diagnostic& diagnostic, std::string_view severity = "error");

/// All of them, in their order.
[[nodiscard]] std::string render(const std::vector<Diagnostic>& diagnostics,
                                 std::string_view severity = "error");

/// Line `line` (from 1) of `text` without its end; empty if there is no such line. Borrows.
[[nodiscard]] std::string_view line_of(std::string_view text, std::uint32_t line) noexcept;

}  // namespace stentor::config
