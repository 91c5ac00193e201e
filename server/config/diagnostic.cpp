#include "server/config/diagnostic.hpp"

#include "base/utf8.hpp"

#include <algorithm>

namespace stentor::config {
namespace {

constexpr std::size_t kShownColumnsMax = 160;
constexpr std::size_t kHintColumnsMax = 400;  // may name a long path

/// Takes one column from the front of `line`: a character, or a byte that is part of none.
std::string_view take_column(std::string_view& line) noexcept {
    const std::string_view column = line.substr(0, std::max<std::size_t>(utf8_length(line), 1));
    line.remove_prefix(column.size());
    return column;
}

/// Blanks as wide as the first `columns` of the line, which keep tabs where they are.
std::string blanks_for(std::string_view line, std::size_t columns) {
    std::string blanks;
    while (!line.empty() && blanks.size() < columns) {
        blanks += take_column(line) == "\t" ? '\t' : ' ';
    }
    return blanks;
}

/// Control characters would let a file draw on the operator's terminal, and what is no UTF-8 would
/// spoil whatever reads our output.
std::string printable(std::string_view line, std::size_t columns_max = kShownColumnsMax) {
    std::string shown;
    std::size_t columns = 0;
    while (!line.empty()) {
        if (++columns > columns_max) return shown + "...";
        const std::string_view column = take_column(line);
        const bool is_text =
            utf8_length(column) != 0 && (column == "\t" || !begins_with_control(column));
        shown += is_text ? column : "?";
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
    if (!diagnostic.hint.empty()) {
        out += margin + " = " + printable(diagnostic.hint, kHintColumnsMax) + '\n';
    }
    return out;
}

std::string render(const std::vector<Diagnostic>& diagnostics, std::string_view severity) {
    std::string out;
    for (const Diagnostic& diagnostic : diagnostics) out += render(diagnostic, severity);
    return out;
}

}  // namespace stentor::config
