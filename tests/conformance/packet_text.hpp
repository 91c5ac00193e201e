#pragma once
// The tables' notation for packets: parsing it, turning it into bytes to send, and comparing it
// with what a broker sent (README.md, "Packets"). Pure.

#include "tests/conformance/wire.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::conformance {

/// The text is not in the tables' notation; what() says why.
class BadText : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

struct Field {
    std::string key;
    std::string value;
    bool quoted = false;  // then `value` is what it says, escapes resolved
};

struct PacketText {
    std::string name;  // "PUBLISH", "x" for raw bytes, "CLOSE"
    std::vector<Field> fields;
    std::vector<std::string> absent;  // "-property"
    bool exact = false;
    Octets raw;  // of "x"

    [[nodiscard]] const Field* find(std::string_view key) const;
};

[[nodiscard]] PacketText parse_packet(std::string_view text);

/// `$name` in the tables. Numbers are kept in decimal.
using Variables = std::map<std::string, std::string>;

/// The packet of a client that speaks `level`; `client` is the default client identifier.
/// Throws BadText for fields the packet does not have and variables nobody has set.
[[nodiscard]] Octets assemble(const PacketText& packet,
                              int level,
                              std::string_view client,
                              const Variables& variables);

/// Why `packet` is not what `expected` describes; empty if it is, and then variables met for the
/// first time are set. Throws BadText for an expectation that makes no sense.
[[nodiscard]] std::string mismatch(const PacketText& expected,
                                   const Packet& packet,
                                   Variables& variables);

/// A decimal or 0x number of at most 32 bits; BadText for anything else.
[[nodiscard]] std::uint32_t parse_number(std::string_view text);
/// Whether a field's value is `$name`; `$share/g/t` is a filter.
[[nodiscard]] bool is_variable(const Field& field);

/// The number a field holds, variables resolved.
[[nodiscard]] std::uint32_t number_of(const Field& field, const Variables& variables);
/// The bytes a field stands for: word, "text", hex:00ff, *1000 or $variable.
[[nodiscard]] Octets octets_of(const Field& field, const Variables& variables);

}  // namespace stentor::conformance
