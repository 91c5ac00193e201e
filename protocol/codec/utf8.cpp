#include "protocol/codec/utf8.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace stentor::mqtt {

namespace {

constexpr std::uint64_t kHighBits = 0x8080'8080'8080'8080U;
constexpr std::uint64_t kSevenBits = 0x7F7F'7F7F'7F7F'7F7FU;

constexpr std::uint64_t repeated(char c) noexcept {
    return 0x0101'0101'0101'0101U * static_cast<unsigned char>(c);
}

std::uint64_t load_word(const char* from) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

/// The last bytes of a text, fewer than eight, filled up with 'x', which no check minds.
std::uint64_t load_tail(const char* from, std::size_t size) noexcept {
    std::uint64_t word = repeated('x');
    std::memcpy(&word, from, size);
    return word;
}

/// The high bit of each byte of `word` that is zero. Exact if no byte of `word` is above 0x7F.
std::uint64_t zero_bytes(std::uint64_t word) noexcept { return ~(word + kSevenBits) & kHighBits; }

/// Whether all eight bytes are in 0x01 .. 0x7F.
bool is_plain_ascii(std::uint64_t word) noexcept {
    return ((word | zero_bytes(word & kSevenBits)) & kHighBits) == 0;
}

TopicNameScan judge_topic(std::string_view topic, std::size_t levels_max) noexcept {
    if (!is_mqtt_text(topic)) return TopicNameScan::not_text;
    if (topic.find_first_of("+#") != std::string_view::npos) return TopicNameScan::has_wildcard;
    const auto separators = static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/'));
    return separators + 1 > levels_max ? TopicNameScan::too_many_levels : TopicNameScan::ok;
}

}  // namespace

bool is_mqtt_text(std::string_view text) noexcept {
    std::size_t at = 0;
    while (at < text.size()) {
        while (text.size() - at >= sizeof(std::uint64_t) &&
               is_plain_ascii(load_word(text.data() + at))) {
            at += sizeof(std::uint64_t);
        }
        if (at == text.size()) break;
        const auto c = static_cast<unsigned char>(text[at]);
        if (c == 0) return false;
        if (c < 0x80U) {
            ++at;
            continue;
        }
        const std::size_t size = utf8_length(text.substr(at));
        if (size == 0) return false;
        at += size;
    }
    return true;
}

TopicNameScan scan_topic_name(std::string_view topic, std::size_t levels_max) noexcept {
    std::size_t separators = 0;
    // Whatever is not plain ASCII without wildcards is judged again by the thorough way, which
    // knows which of the two it is.
    const auto admits = [&separators](std::uint64_t word) {
        if (!is_plain_ascii(word)) return false;
        if ((zero_bytes(word ^ repeated('+')) | zero_bytes(word ^ repeated('#'))) != 0) {
            return false;
        }
        separators += static_cast<std::size_t>(std::popcount(zero_bytes(word ^ repeated('/'))));
        return true;
    };
    const char* at = topic.data();
    std::size_t left = topic.size();
    for (; left >= sizeof(std::uint64_t);
         at += sizeof(std::uint64_t), left -= sizeof(std::uint64_t)) {
        if (!admits(load_word(at))) return judge_topic(topic, levels_max);
    }
    if (left > 0 && !admits(load_tail(at, left))) return judge_topic(topic, levels_max);
    return separators + 1 > levels_max ? TopicNameScan::too_many_levels : TopicNameScan::ok;
}

}  // namespace stentor::mqtt
