#include "server/shard/retained_replays.hpp"

#include <utility>

namespace stentor::server {

void RetainedReplays::add(RetainedReplay replay) {
    (void)drop(replay.text);
    if (some_ == nullptr) some_ = std::make_unique<Some>();
    some_->list.push_back(std::move(replay));
    const auto added = std::prev(some_->list.end());
    some_->by_text.emplace(added->text, added);
}

bool RetainedReplays::drop(std::string_view text) {
    if (some_ == nullptr) return false;
    const auto found = some_->by_text.find(text);
    if (found == some_->by_text.end()) return false;
    erase(found->second);
    return true;
}

void RetainedReplays::pop_front() { erase(some_->list.begin()); }

void RetainedReplays::erase(List::iterator replay) {
    some_->by_text.erase(replay->text);  // before the key goes
    some_->list.erase(replay);
    if (some_->list.empty()) some_.reset();
}

}  // namespace stentor::server
