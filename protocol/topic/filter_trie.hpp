#pragma once
// Wildcard filters by their levels: all that match a topic in one walk.
// One thread changes it; as long as nobody does, any may look. No recursion; a match allocates
// nothing but what it appends.

#include "base/hash.hpp"
#include "protocol/topic/filter_shape.hpp"

#include <boost/unordered/unordered_flat_set.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

/// A wildcard filter's number, chosen by whoever inserts it.
using FilterNumber = std::uint32_t;
inline constexpr FilterNumber kNoFilter = 0xFFFF'FFFF;

/// Every level of a filter is a node, "+" among them; a final "#" is a mark on its parent. All
/// edges to literal levels are in one hash table, so a node with a million children costs no more.
class FilterTrie {
  public:
    explicit FilterTrie(const HashKey& key);
    FilterTrie(const FilterTrie&) = delete;  // its tables refer to each other
    FilterTrie& operator=(const FilterTrie&) = delete;
    ~FilterTrie() = default;

    /// kNoFilter if it is not there. `filter` is valid and has a wildcard, here and below.
    [[nodiscard]] FilterNumber find(std::string_view filter) const;

    /// The filter must not be there; `number` is what match() will report.
    void insert(std::string_view filter, FilterNumber number);

    /// The filter must be there.
    void erase(std::string_view filter);

    /// Appends the number of each filter that matches the valid topic name; `levels` are the
    /// topic's, hashed with the key given above. Visits the nodes that match a beginning of it.
    void match(std::string_view topic,
               const LevelHashes& levels,
               std::vector<FilterNumber>& out) const;

    [[nodiscard]] std::size_t memory_bytes() const noexcept;

  private:
    using NodeIndex = std::uint32_t;
    static constexpr NodeIndex kNone = 0xFFFF'FFFF;
    static constexpr NodeIndex kRoot = 0;

    struct Node {
        std::uint64_t edge_hash = 0;  // of parent and level
        NodeIndex parent = kNone;
        NodeIndex plus_child = kNone;
        std::uint32_t children = 0;          // literal ones and "+"
        FilterNumber exact_end = kNoFilter;  // the filter that ends here
        FilterNumber multi_end = kNoFilter;  // the one that has "#" below this and ends
        std::string level;
    };
    struct EdgeKey {
        std::uint64_t hash;
        NodeIndex parent;
        std::string_view level;
    };
    struct Edge {  // the hash stands beside the node, so that growing touches no node
        std::uint64_t hash;
        NodeIndex child;
    };
    struct EdgeHash {
        using is_transparent = void;
        using is_avalanching = void;
        std::size_t operator()(const Edge& edge) const noexcept { return edge.hash; }
        std::size_t operator()(const EdgeKey& key) const noexcept { return key.hash; }
    };
    struct EdgeEqual {
        using is_transparent = void;
        const std::vector<Node>* nodes;
        bool operator()(const Edge& a, const Edge& b) const noexcept { return a.child == b.child; }
        bool operator()(const EdgeKey& key, const Edge& edge) const noexcept {
            if (key.hash != edge.hash) return false;
            const Node& node = (*nodes)[edge.child];
            return node.parent == key.parent && node.level == key.level;
        }
        bool operator()(const Edge& edge, const EdgeKey& key) const noexcept {
            return (*this)(key, edge);
        }
    };

    [[nodiscard]] NodeIndex literal_child(NodeIndex parent,
                                          std::uint64_t level_hash,
                                          std::string_view level) const;
    [[nodiscard]] NodeIndex child(NodeIndex parent, std::string_view level) const;
    NodeIndex add_child(NodeIndex parent, std::string_view level);
    void remove_unused(NodeIndex node);

    /// The node of the filter's last level before a final "#"; kNone if there is none.
    [[nodiscard]] NodeIndex walk(std::string_view filter) const;

    HashKey key_;
    std::vector<Node> nodes_;  // the first is the root
    std::vector<NodeIndex> free_;
    boost::unordered_flat_set<Edge, EdgeHash, EdgeEqual> edges_;
    std::size_t level_bytes_ = 0;  // of levels too long to stand in their nodes
};

}  // namespace stentor::mqtt
