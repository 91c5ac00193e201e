#include "auth/http/answer_cache.hpp"

#include <iterator>
#include <utility>

namespace stentor::auth {
namespace {

constexpr std::size_t kEntryBytes = 320;  // the entry, its place, and what malloc adds
constexpr std::size_t kGrantBytes = 64;

std::size_t bytes_of(const LoginAnswer& answer) noexcept {
    std::size_t bytes = kEntryBytes + answer.user.capacity() + answer.reason.capacity();
    if (answer.roles != nullptr) bytes += answer.roles->bytes();
    if (answer.grants == nullptr) return bytes;
    for (const Grant& grant : answer.grants->all()) bytes += kGrantBytes + grant.filter.capacity();
    return bytes;
}

}  // namespace

const LoginVerdict* AnswerCache::find(const Fingerprint& question, Instant now) {
    const auto found = places_.find(question);
    if (found == places_.end()) return nullptr;
    const Entries::iterator entry = found->second;
    if (entry->until <= now) {
        forget(entry);
        return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, entry);
    return &entry->verdict;
}

void AnswerCache::put(const Fingerprint& question, LoginVerdict verdict, Instant until) {
    if (const auto found = places_.find(question); found != places_.end()) forget(found->second);
    const std::size_t bytes = bytes_of(verdict.answer);
    if (bytes > bytes_max_) return;
    while (bytes_ + bytes > bytes_max_) forget(std::prev(entries_.end()));
    entries_.push_front({question, std::move(verdict), until, bytes});
    places_.emplace(question, entries_.begin());
    bytes_ += bytes;
}

void AnswerCache::forget(Entries::iterator entry) {
    bytes_ -= entry->bytes;
    places_.erase(entry->question);
    entries_.erase(entry);
}

}  // namespace stentor::auth
