#include "persistence/state/kept_spans.hpp"

#include <algorithm>

namespace stentor::store {

KeptSpans::KeptSpans(const KeptSpans& other) {
    if (other.spans_ != nullptr) spans_ = std::make_unique<std::vector<KeptSpan>>(*other.spans_);
}

KeptSpans& KeptSpans::operator=(const KeptSpans& other) {
    if (this != &other) *this = KeptSpans{other};
    return *this;
}

void KeptSpans::keep(const KeptSpan& span, Seq position) {
    forget_through(position);
    if (span.until <= std::max(position, span.since)) return;
    if (spans_ == nullptr) spans_ = std::make_unique<std::vector<KeptSpan>>();
    spans_->push_back(span);
    if (spans_->size() <= kMost) return;
    KeptSpan& second = (*spans_)[1];
    second.since = spans_->front().since;
    second.qos = std::max(second.qos, spans_->front().qos);
    spans_->erase(spans_->begin());
}

void KeptSpans::forget_through(Seq position) {
    if (spans_ == nullptr) return;
    std::erase_if(*spans_, [&](const KeptSpan& span) { return span.until <= position; });
    if (spans_->empty()) spans_.reset();
}

std::span<const KeptSpan> KeptSpans::all() const noexcept {
    if (spans_ == nullptr) return {};
    return *spans_;
}

Seq KeptSpans::last() const noexcept { return spans_ == nullptr ? kNoSeq : spans_->back().until; }

mqtt::QoS KeptSpans::at(Seq seq) const noexcept {
    mqtt::QoS qos = mqtt::QoS::at_most_once;
    for (const KeptSpan& span : all()) {
        if (span.since < seq && seq <= span.until) qos = std::max(qos, span.qos);
    }
    return qos;
}

std::optional<Seq> KeptSpans::needed_from(Seq position) const noexcept {
    for (const KeptSpan& span : all()) {
        if (position < span.until) return next(std::max(position, span.since));
    }
    return std::nullopt;
}

bool operator==(const KeptSpans& a, const KeptSpans& b) noexcept {
    return std::equal(a.all().begin(), a.all().end(), b.all().begin(), b.all().end());
}

}  // namespace stentor::store
