#include "tools/client/json_text.hpp"

#include "base/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>

namespace stentor::tools {
namespace {

/// Recursive descent over RFC 8259, copying tokens as it goes.
class Minifier {
  public:
    explicit Minifier(std::string_view text) : text_{text} {}

    std::optional<std::string> run() {
        if (!value(0)) return std::nullopt;
        skip_space();
        if (at_ != text_.size()) return std::nullopt;
        return std::move(out_);
    }

  private:
    static constexpr int kDepthMax = 256;

    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
    bool take(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        out_ += c;
        ++at_;
        return true;
    }
    bool word(std::string_view expected) {
        if (text_.substr(at_, expected.size()) != expected) return false;
        out_ += expected;
        at_ += expected.size();
        return true;
    }
    bool digits() {
        const auto start = at_;
        while (peek() >= '0' && peek() <= '9') take(peek());
        return at_ != start;
    }
    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }
    bool string() {
        if (!take('"')) return false;
        while (at_ < text_.size() && text_[at_] != '"') {
            if (static_cast<unsigned char>(text_[at_]) < 0x20U) return false;
            if (!take('\\')) {
                const auto length = utf8_length(text_.substr(at_));
                if (length == 0) return false;
                out_ += text_.substr(at_, length);
                at_ += length;
                continue;
            }
            if (take('u')) {
                for (int i = 0; i < 4; ++i) {
                    if (peek() == '\0' || !std::isxdigit(static_cast<unsigned char>(peek()))) {
                        return false;
                    }
                    take(peek());
                }
            } else if (peek() == '\0' ||
                       std::string_view{"\"\\/bfnrt"}.find(peek()) == std::string_view::npos) {
                return false;
            } else {
                take(peek());
            }
        }
        return take('"');
    }
    /// Members or elements up to `close`; the opening bracket is taken.
    template <class Item>
    bool list(char close, Item item) {
        skip_space();
        if (take(close)) return true;
        do {
            if (!item()) return false;
            skip_space();
        } while (take(','));
        return take(close);
    }
    bool value(int depth) {
        skip_space();
        if (depth > kDepthMax) return false;
        switch (peek()) {
            case '{':
                take('{');
                return list('}', [&] {
                    skip_space();
                    if (!string()) return false;
                    skip_space();
                    return take(':') && value(depth + 1);
                });
            case '[':
                take('[');
                return list(']', [&] { return value(depth + 1); });
            case '"':
                return string();
            case 't':
                return word("true");
            case 'f':
                return word("false");
            case 'n':
                return word("null");
            default:
                return number();
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string out_;
};

}  // namespace

std::optional<std::string> minified_json(std::string_view text) { return Minifier{text}.run(); }

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const char c = text.front();
        const auto length = utf8_length(text);
        if (length != 1) {
            out += length == 0 ? std::string_view{"\\ufffd"} : text.substr(0, length);
            text.remove_prefix(std::max<std::size_t>(length, 1));
            continue;
        }
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\b':
                out += "\\b";
                break;
            case '\f':
                out += "\\f";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20U) {
                    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(c));
                } else {
                    out += c;
                }
        }
        text.remove_prefix(1);
    }
    out += '"';
}

}  // namespace stentor::tools
