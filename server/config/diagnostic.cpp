#include "server/config/diagnostic.hpp"

#include <algorithm>

namespace stentor::config {
namespace {

constexpr std::size_t kShownColumnsMax = 160;

constexpr bool continues_character(char c) noexcept {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// The first `columns` characters, and the same number of blanks that keep tabs where they are.
std::string blanks_for(std::string_view line, std::size_t columns) {
    std::string blanks;
    for (const char c : line) {
        if (continues_character(c)) continue;
        if (blanks.size() == columns) break;
        blanks += c == '\t' ? '\t' : ' ';
    }
    return blanks;
}

/// Control characters would let a file draw on the operator's terminal.
std::string printable(std::string_view line) {
    std::string shown;
    std::size_t columns = 0;
    for (const char c : line) {
        if (!continues_character(c) && ++columns > kShownColumnsMax) return shown + "...";
        const bool control = (static_cast<unsigned char>(c) < 0x20U && c != '\t') || c == 0x7F;
        shown += control ? '?' : c;
    }
    return shown;
}

}  // namespace

std::string_view line_of(std::string_view text, std::uint32_t line) noexcept {
    for (; line > 1; --line) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    text = text.substr(0, text.find('\n'));
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return text;
}

std::string render(const Diagnostic& diagnostic, std::string_view severity) {
    std::string out = diagnostic.source;
    const FilePlace& place = diagnostic.place;
    if (place.line != 0) {
        out += ':' + std::to_string(place.line) + ':' + std::to_string(place.column);
    }
    out.append(": ").append(severity).append(": ").append(printable(diagnostic.what)) += '\n';
    const std::string number = place.line != 0 ? std::to_string(place.line) : "";
    const std::size_t width = std::max<std::size_t>(4, number.size());
    const std::string margin(width, ' ');
    if (!diagnostic.line_text.empty()) {
        out += std::string(width - number.size(), ' ') + number + " | ";
        out += printable(diagnostic.line_text) + '\n';
        if (place.column >= 1 && place.column <= kShownColumnsMax) {
            const std::size_t room = kShownColumnsMax - place.column;
            const auto tail = std::min<std::size_t>(place.length > 1 ? place.length - 1 : 0, room);
            out += margin + " | " + blanks_for(diagnostic.line_text, place.column - 1) + '^' +
                   std::string(tail, '~') + '\n';
        }
    }
    if (!diagnostic.hint.empty()) out += margin + " = " + diagnostic.hint + '\n';
    return out;
}

std::string render(const std::vector<Diagnostic>& diagnostics, std::string_view severity) {
    std::string out;
    for (const Diagnostic& diagnostic : diagnostics) out += render(diagnostic, severity);
    return out;
}

}  // namespace stentor::config
