#include "tests/conformance/packet_text.hpp"

#include <algorithm>
#include <cctype>

namespace stentor::conformance {
namespace {

[[noreturn]] void fail(const std::string& why) { throw BadText{why}; }

bool is_space(char c) { return c == ' ' || c == '\t'; }

unsigned hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10U;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10U;
    fail(std::string{"not a hex digit: "} + c);
}

Octets parse_hex(std::string_view digits) {
    if (digits.empty() || digits.size() % 2 != 0) fail("hex digits come in pairs");
    Octets out;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        out += static_cast<char>(hex_digit(digits[i]) << 4U | hex_digit(digits[i + 1]));
    }
    return out;
}

// Walks over the text of one packet.
class Cursor {
  public:
    explicit Cursor(std::string_view rest) : rest_{rest} {}

    bool skip_spaces() {
        while (!rest_.empty() && is_space(rest_[0])) rest_.remove_prefix(1);
        return !rest_.empty();
    }
    [[nodiscard]] char peek() const { return rest_.empty() ? '\0' : rest_[0]; }
    void skip() { rest_.remove_prefix(1); }

    // Up to a space, or up to `also` where given.
    std::string word(char also = '\0') {
        std::size_t end = 0;
        while (end < rest_.size() && !is_space(rest_[end]) && rest_[end] != also) ++end;
        std::string out{rest_.substr(0, end)};
        rest_.remove_prefix(end);
        return out;
    }

    // From a quote to the next one of its kind.
    std::string quoted() {
        const char quote = rest_[0];
        skip();
        std::string out;
        while (peek() != quote) {
            if (rest_.empty()) fail("a quote is not closed");
            out += peek() == '\\' ? escaped() : taken();
        }
        skip();
        return out;
    }

  private:
    char taken() {
        const char c = rest_[0];
        skip();
        return c;
    }
    char escaped() {
        skip();
        if (peek() != 'x') return taken();
        if (rest_.size() < 3) fail("\\x needs two digits");
        const Octets byte = parse_hex(rest_.substr(1, 2));
        rest_.remove_prefix(3);
        return byte[0];
    }

    std::string_view rest_;
};

// Raw bytes: 8201 'text' "text with length" { block with length } 61*300
Octets parse_raw(Cursor& in) {
    std::vector<Octets> open(1);
    while (in.skip_spaces()) {
        switch (in.peek()) {
            case '{':
                in.skip();
                open.emplace_back();
                break;
            case '}': {
                in.skip();
                if (open.size() == 1) fail("} without {");
                const Octets block = std::move(open.back());
                open.pop_back();
                put_varint(open.back(), static_cast<std::uint32_t>(block.size()));
                open.back() += block;
                break;
            }
            case '\'':
                open.back() += in.quoted();
                break;
            case '"':
                put_text(open.back(), in.quoted());
                break;
            default: {
                const std::string word = in.word();
                const auto star = word.find('*');
                const Octets bytes = parse_hex(std::string_view{word}.substr(0, star));
                std::uint32_t times = 1;
                if (star != std::string::npos) {
                    times = parse_number(std::string_view{word}.substr(star + 1));
                }
                for (std::uint32_t i = 0; i < times; ++i) open.back() += bytes;
            }
        }
    }
    if (open.size() != 1) fail("{ without }");
    return open.back();
}

const std::string& resolved(const std::string& name, const Variables& variables) {
    const auto found = variables.find(name);
    if (found == variables.end()) fail("nobody has set " + name);
    return found->second;
}

}  // namespace

std::uint32_t parse_number(std::string_view text) {
    const bool is_hex = text.starts_with("0x");
    const std::string digits{is_hex ? text.substr(2) : text};
    std::size_t used = 0;
    try {
        const unsigned long long value = std::stoull(digits, &used, is_hex ? 16 : 10);
        if (used == digits.size() && value <= 0xffffffffULL) {
            return static_cast<std::uint32_t>(value);
        }
    } catch (const std::exception&) {
    }
    fail("not a number: " + std::string{text});
}

bool is_variable(const Field& field) {
    return !field.quoted && field.value.starts_with('$') &&
           field.value.find('/') == std::string::npos;
}

const Field* PacketText::find(std::string_view key) const {
    const auto found = std::ranges::find(fields, key, &Field::key);
    return found == fields.end() ? nullptr : &*found;
}

PacketText parse_packet(std::string_view text) {
    PacketText packet;
    Cursor in{text};
    in.skip_spaces();
    packet.name = in.word();
    if (packet.name == "x") {
        packet.raw = parse_raw(in);
        return packet;
    }
    if (packet.name != "CLOSE" && !type_named(packet.name)) fail("no such packet: " + packet.name);
    while (in.skip_spaces()) {
        std::string key = in.word('=');
        if (in.peek() != '=') {
            if (key == "exact") {
                packet.exact = true;
            } else if (key.starts_with('-') && property_named(key.substr(1)) != nullptr) {
                packet.absent.push_back(key.substr(1));
            } else {
                fail("neither field=value nor -property: " + key);
            }
            continue;
        }
        in.skip();
        const bool quoted = in.peek() == '"';
        std::string value = quoted ? in.quoted() : in.word();
        packet.fields.push_back({std::move(key), std::move(value), quoted});
    }
    return packet;
}

std::uint32_t number_of(const Field& field, const Variables& variables) {
    return parse_number(is_variable(field) ? resolved(field.value, variables) : field.value);
}

Octets octets_of(const Field& field, const Variables& variables) {
    if (field.quoted) return field.value;
    if (is_variable(field)) return resolved(field.value, variables);
    if (field.value.starts_with("hex:")) return parse_hex(std::string_view{field.value}.substr(4));
    if (field.value.size() > 1 && field.value[0] == '*') {
        return Octets(parse_number(std::string_view{field.value}.substr(1)), 'x');
    }
    return field.value;
}

}  // namespace stentor::conformance
