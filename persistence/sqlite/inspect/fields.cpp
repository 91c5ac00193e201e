#include "persistence/sqlite/inspect/fields.hpp"

#include <algorithm>
#include <utility>

namespace stentor::store {
namespace {

[[nodiscard]] std::string quoted(std::string_view text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (octet < 0x20 || octet == 0x7F) {
            out += "\\u00";
            out += kDigits[octet >> 4U];
            out += kDigits[octet & 15U];
        } else {
            out += c;
        }
    }
    return out + '"';
}

/// A quoted text that reads the same without its quotes.
[[nodiscard]] std::string_view without_quotes(std::string_view value) {
    if (value.size() < 3 || value.front() != '"') return value;
    const std::string_view inside = value.substr(1, value.size() - 2);
    return inside.find_first_of(" \"\\=,") == std::string_view::npos ? inside : value;
}

}  // namespace

Fields& Fields::add_raw(std::string_view name, std::string value) {
    entries_.push_back(
        {.name = std::string{name}, .value = std::move(value), .items = {}, .is_list = false});
    return *this;
}

Fields& Fields::add(std::string_view name, std::string_view text) {
    return add_raw(name, quoted(text));
}

Fields& Fields::add(std::string_view name, const std::vector<Fields>& items) {
    entries_.push_back({.name = std::string{name}, .value = {}, .items = items, .is_list = true});
    return *this;
}

std::string Fields::text() const {
    std::string out;
    for (const Entry& entry : entries_) {
        if (!out.empty()) out += ' ';
        out += entry.name + '=';
        if (!entry.is_list) out += without_quotes(entry.value);
        for (const Fields& item : entry.items) out += '[' + item.text() + ']';
    }
    return out;
}

std::string Fields::json() const {
    std::string out = "{";
    for (const Entry& entry : entries_) {
        if (out.size() > 1) out += ',';
        out += quoted(entry.name) + ':';
        if (!entry.is_list) {
            out += entry.value;
            continue;
        }
        out += '[';
        for (std::size_t i = 0; i < entry.items.size(); ++i) {
            if (i != 0) out += ',';
            out += entry.items[i].json();
        }
        out += ']';
    }
    return out + '}';
}

std::string Fields::block() const {
    std::size_t width = 0;
    for (const Entry& entry : entries_) {
        if (!entry.is_list) width = std::max(width, entry.name.size());
    }
    std::string out;
    for (const Entry& entry : entries_) {
        if (entry.is_list) continue;
        out += entry.name + std::string(width + 2 - entry.name.size(), ' ');
        out += std::string{without_quotes(entry.value)} + '\n';
    }
    for (const Entry& entry : entries_) {
        if (!entry.items.empty()) out += entry.name + '\n';
        for (const Fields& item : entry.items) out += "  " + item.text() + '\n';
    }
    return out;
}

std::string excerpt(ByteView payload, std::size_t bytes_max) {
    std::string out;
    for (const std::byte octet : payload.first(std::min(bytes_max, payload.size()))) {
        const auto c = std::to_integer<unsigned char>(octet);
        out += c >= 0x20 && c < 0x7F ? static_cast<char>(c) : '.';
    }
    return payload.size() > bytes_max ? out + "..." : out;
}

}  // namespace stentor::store
