#include "protocol/topic/filter_trie.hpp"

#include "base/assert.hpp"
#include "protocol/topic/topic_levels.hpp"

#include <algorithm>
#include <array>

namespace stentor::mqtt {

namespace {

std::uint64_t edge_hash(std::uint32_t parent, std::uint64_t level_hash) noexcept {
    const std::uint64_t hash = (level_hash ^ parent) * 0x9E37'79B9'7F4A'7C15U;
    return hash ^ (hash >> 32U);
}

bool is_multi_level(std::string_view filter) noexcept { return filter.ends_with('#'); }

std::size_t heap_bytes(const std::string& text) noexcept {
    const std::size_t inside = std::string{}.capacity();
    return text.capacity() > inside ? text.capacity() + 1 : 0;
}

}  // namespace

FilterTrie::FilterTrie(const HashKey& key)
    : key_{key}, nodes_(1), edges_{0, EdgeHash{}, EdgeEqual{&nodes_}} {}

FilterTrie::NodeIndex FilterTrie::literal_child(NodeIndex parent,
                                                std::uint64_t level_hash,
                                                std::string_view level) const {
    const auto edge = edges_.find(
        EdgeKey{.hash = edge_hash(parent, level_hash), .parent = parent, .level = level});
    return edge == edges_.end() ? kNone : edge->child;
}

FilterTrie::NodeIndex FilterTrie::child(NodeIndex parent, std::string_view level) const {
    if (level == "+") return nodes_[parent].plus_child;
    return literal_child(parent, keyed_hash(key_, level), level);
}

FilterTrie::NodeIndex FilterTrie::walk(std::string_view filter) const {
    NodeIndex node = kRoot;
    for (const std::string_view level : TopicLevels{filter}) {
        if (level == "#") break;
        node = child(node, level);
        if (node == kNone) break;
    }
    return node;
}

FilterNumber FilterTrie::find(std::string_view filter) const {
    const NodeIndex node = walk(filter);
    if (node == kNone) return kNoFilter;
    return is_multi_level(filter) ? nodes_[node].multi_end : nodes_[node].exact_end;
}

FilterTrie::NodeIndex FilterTrie::add_child(NodeIndex parent, std::string_view level) {
    NodeIndex index = 0;
    if (free_.empty()) {
        STENTOR_ASSERT(nodes_.size() < kNone);
        index = static_cast<NodeIndex>(nodes_.size());
        nodes_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Node& node = nodes_[index];
    node.parent = parent;
    node.level.assign(level);
    level_bytes_ += heap_bytes(node.level);
    ++nodes_[parent].children;
    if (level == "+") {
        nodes_[parent].plus_child = index;
    } else {
        node.edge_hash = edge_hash(parent, keyed_hash(key_, level));
        edges_.insert(Edge{.hash = node.edge_hash, .child = index});
    }
    return index;
}

void FilterTrie::insert(std::string_view filter, FilterNumber number) {
    NodeIndex node = kRoot;
    for (const std::string_view level : TopicLevels{filter}) {
        if (level == "#") break;
        const NodeIndex next = child(node, level);
        node = next == kNone ? add_child(node, level) : next;
    }
    FilterNumber& end = is_multi_level(filter) ? nodes_[node].multi_end : nodes_[node].exact_end;
    STENTOR_ASSERT(end == kNoFilter);
    end = number;
}

void FilterTrie::erase(std::string_view filter) {
    const NodeIndex node = walk(filter);
    STENTOR_ASSERT(node != kNone);
    FilterNumber& end = is_multi_level(filter) ? nodes_[node].multi_end : nodes_[node].exact_end;
    STENTOR_ASSERT(end != kNoFilter);
    end = kNoFilter;
    remove_unused(node);
}

void FilterTrie::remove_unused(NodeIndex index) {
    while (index != kRoot) {
        Node& node = nodes_[index];
        if (node.children != 0) return;
        if (node.exact_end != kNoFilter || node.multi_end != kNoFilter) return;
        const NodeIndex parent = node.parent;
        if (nodes_[parent].plus_child == index) {
            nodes_[parent].plus_child = kNone;
        } else {
            edges_.erase(EdgeKey{.hash = node.edge_hash, .parent = parent, .level = node.level});
        }
        --nodes_[parent].children;
        level_bytes_ -= heap_bytes(node.level);
        node = Node{};
        free_.push_back(index);
        index = parent;
    }
}

void FilterTrie::match(std::string_view topic,
                       const LevelHashes& levels,
                       std::vector<FilterNumber>& out) const {
    struct Place {
        NodeIndex node;
        std::uint32_t level;  // of the topic, the one below `node`
        std::size_t begin;    // of its text; past the topic's end: there is none
    };
    // The branches into "+" still to be followed. Literal children are followed at once, so at most
    // one branch waits per level. Not initialised: that would cost as much as the rest of a match.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    std::array<Place, kTopicLevelsMax> branches;
    std::size_t waiting = 0;
    const bool is_dollar_topic = topic.starts_with('$');

    Place here{.node = kRoot, .level = 0, .begin = 0};
    for (;;) {
        const Node& node = nodes_[here.node];
        const bool open = here.level != 0 || !is_dollar_topic;  // [MQTT-4.7.2-1]
        if (open && node.multi_end != kNoFilter) out.push_back(node.multi_end);
        NodeIndex next = kNone;
        if (here.level == levels.size()) {
            if (node.exact_end != kNoFilter) out.push_back(node.exact_end);
        } else if (node.children != 0) {
            const std::size_t end = std::min(topic.find('/', here.begin), topic.size());
            const bool has_plus = node.plus_child != kNone;
            if (open && has_plus) {
                branches[waiting++] = {
                    .node = node.plus_child, .level = here.level + 1, .begin = end + 1};
            }
            if (node.children != (has_plus ? 1U : 0U)) {
                next = literal_child(
                    here.node, levels[here.level], topic.substr(here.begin, end - here.begin));
            }
            here = {.node = next, .level = here.level + 1, .begin = end + 1};
        }
        if (next != kNone) continue;
        if (waiting == 0) return;
        here = branches[--waiting];
    }
}

std::size_t FilterTrie::memory_bytes() const noexcept {
    return nodes_.capacity() * sizeof(Node) + free_.capacity() * sizeof(NodeIndex) +
           edges_.bucket_count() * (sizeof(Edge) + 1) + level_bytes_;
}

}  // namespace stentor::mqtt
