#pragma once
// Where TOML cannot be read: what is wrong with that line, and what to write instead.
// Pure. Any thread. Knows what toml++ says; a message it does not know still gets an answer.

#include "server/config/diagnostic.hpp"
#include "server/config/units.hpp"

#include <cstdint>
#include <string_view>

namespace stentor::config {

/// What one mistake means for the lines below it.
enum class SyntaxReach : std::uint8_t {
    line,  // they mean what they did
    rest,  // something is not closed: what a parser says of them is not to be believed
};

struct SyntaxMistake {
    ValueError error;
    SyntaxReach reach = SyntaxReach::line;
    bool is_repetition = false;  // of a key or a section further up
};

/// `description` is the parser's, about `place` in `text`. The hint is never empty.
[[nodiscard]] SyntaxMistake explain_syntax(std::string_view text,
                                           FilePlace place,
                                           std::string_view description);

/// Without blanks and tabs at both ends. Borrows.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

}  // namespace stentor::config
