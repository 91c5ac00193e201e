#include "persistence/sqlite/topic_index.hpp"

#include "base/hash.hpp"

#include <algorithm>
#include <utility>

namespace stentor::store {
namespace {

constexpr std::size_t kBitsPerTopic = 10;
constexpr int kProbes = 6;
// The filter is stored, so its hash must stay what it is.
constexpr HashKey kFilterKey{.k0 = 0x74'6f'70'69'63'00'00'01U, .k1 = 0x66'69'6c'74'65'72'00'01U};

// Beyond the bits, so that there is always a bit.
constexpr std::size_t kExtraBytes = 8;

/// Calls `visit(byte, mask)` for each bit of the topic until it returns false.
template <class Visit>
bool for_each_bit(std::uint64_t hash, std::size_t bytes, Visit visit) {
    std::uint64_t at = hash & 0xFFFF'FFFFU;
    const std::uint64_t step = (hash >> 32U) | 1U;
    for (int i = 0; i < kProbes; ++i, at += step) {
        const std::uint64_t bit = at % (bytes * 8);
        if (!visit(static_cast<std::size_t>(bit / 8), std::byte{1} << (bit % 8))) return false;
    }
    return true;
}

}  // namespace

void TopicIndex::add(std::string_view topic, Seq seq) {
    const auto place = topics_.find(topic);
    if (place != topics_.end()) {
        place->second.push_back(seq);
    } else {
        topics_.emplace(std::string{topic}, std::vector{seq});
    }
}

std::size_t TopicIndex::find(std::string_view topic,
                             Seq after,
                             std::size_t count_max,
                             std::vector<Seq>& out) const {
    const auto place = topics_.find(topic);
    if (place == topics_.end()) return 0;
    const std::vector<Seq>& positions = place->second;
    const auto begin = std::upper_bound(positions.begin(), positions.end(), after);
    const auto count = std::min(count_max, static_cast<std::size_t>(positions.end() - begin));
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
    return count;
}

std::vector<TopicIndex::Entry> TopicIndex::sorted() const {
    std::vector<Entry> entries;
    entries.reserve(topics_.size());
    for (const auto& [topic, positions] : topics_) {
        entries.push_back({.topic = topic, .positions = &positions});
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.topic < b.topic;
    });
    return entries;
}

TopicFilter::TopicFilter(const TopicIndex& index) {
    if (index.topics() == 0) return;
    bits_.resize(index.topics() * kBitsPerTopic / 8 + kExtraBytes);
    for (const TopicIndex::Entry& entry : index.sorted()) {
        for_each_bit(hash(entry.topic), bits_.size(), [this](std::size_t byte, std::byte mask) {
            bits_[byte] |= mask;
            return true;
        });
    }
}

std::uint64_t TopicFilter::hash(std::string_view topic) noexcept {
    return sip_hash<1, 3>(kFilterKey, as_bytes(topic));
}

std::size_t TopicFilter::topics() const noexcept {
    return bits_.empty() ? 0 : (bits_.size() - kExtraBytes) * 8 / kBitsPerTopic;
}

bool TopicFilter::may_contain(std::uint64_t topic_hash) const noexcept {
    if (bits_.empty()) return false;
    return for_each_bit(topic_hash, bits_.size(), [this](std::size_t byte, std::byte mask) {
        return (bits_[byte] & mask) != std::byte{0};
    });
}

}  // namespace stentor::store
