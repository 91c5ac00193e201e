#include "persistence/contract/need_survey.hpp"

#include <algorithm>

namespace stentor::store {
namespace {

// A collision costs disk space for a while, nothing else.
constexpr HashKey kKey{};

}  // namespace

void NeedSurvey::add(std::string_view filter, Seq from) {
    const mqtt::LevelHashes levels{kKey, filter};
    lower(mqtt::literal_hash(shape_for(mqtt::shape_of(filter)), levels), from);
}

void NeedSurvey::add_everything(Seq from) noexcept {
    everything_from_ = std::min(everything_from_, from);
}

/// The shape itself while there are few, otherwise one of the few that match more.
mqtt::FilterShape NeedSurvey::shape_for(const mqtt::FilterShape& wanted) {
    if (std::find(shapes_.begin(), shapes_.end(), wanted) != shapes_.end()) return wanted;
    mqtt::FilterShape shape = wanted;
    if (shapes_.size() >= kShapesMax) {
        constexpr std::uint8_t kPrefixLevelsMax = 7;
        shape = wanted.widened(std::min(wanted.literal_prefix_levels(), kPrefixLevelsMax));
        if (std::find(shapes_.begin(), shapes_.end(), shape) != shapes_.end()) return shape;
    }
    shapes_.push_back(shape);
    return shape;
}

void NeedSurvey::lower(std::uint64_t hash, Seq from) {
    const auto [at, is_new] = lowest_.try_emplace(hash, from);
    if (!is_new) at->second = std::min(at->second, from);
}

void NeedSurvey::merge(const NeedSurvey& other) {
    taken_at_ = std::min(taken_at_, other.taken_at_);
    add_everything(other.everything_from_);
    // Hashes are of the shapes that were used there, whatever they were widened from.
    for (const mqtt::FilterShape& shape : other.shapes_) {
        if (std::find(shapes_.begin(), shapes_.end(), shape) == shapes_.end()) {
            shapes_.push_back(shape);
        }
    }
    for (const auto& [hash, from] : other.lowest_) lower(hash, from);
}

Seq NeedSurvey::needed_from(std::string_view topic) const {
    const mqtt::LevelHashes levels{kKey, topic};
    Seq lowest = everything_from_;
    for (const mqtt::FilterShape& shape : shapes_) {
        if (!shape.admits(levels.size())) continue;
        if (shape.begins_with_wildcard() && topic.starts_with('$')) continue;
        const auto found = lowest_.find(mqtt::literal_hash(shape, levels));
        if (found != lowest_.end()) lowest = std::min(lowest, found->second);
    }
    return lowest;
}

}  // namespace stentor::store
