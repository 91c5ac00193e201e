#include "tools/bench/verifier.hpp"

#include <cstddef>

namespace stentor::bench {

std::uint64_t streams(const Plan& plan) noexcept {
    switch (plan.listening) {
        case Listening::own:
            return plan.subscribers;
        case Listening::all:
            return std::uint64_t{plan.subscribers} * plan.flows();
        case Listening::nothing:
            break;
    }
    return 0;
}

Verifier::Verifier(const Plan& plan, StreamStart start)
    : flows_{plan.listening == Listening::nothing ? 0 : plan.flows()},
      own_{plan.listening == Listening::own},
      next_(streams(plan), start == StreamStart::zero ? 0 : kNotSeen) {}

bool Verifier::take_missing(std::size_t stream, std::uint32_t sequence) {
    const auto found = missing_.find(stream);
    if (found == missing_.end()) return false;
    auto& ranges = found->second;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const Range range = ranges[i];
        if (sequence < range.begin || sequence >= range.end) continue;
        const auto at = ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(i));
        const Range rest[] = {{range.begin, sequence}, {sequence + 1, range.end}};
        auto to = at;
        for (const Range& each : rest) {
            if (each.begin < each.end) to = ranges.insert(to, each) + 1;
        }
        return true;
    }
    return false;
}

bool Verifier::on_surprise(std::size_t stream, std::uint32_t sequence, Marked marked) {
    std::uint32_t& next = next_[stream];
    if (next == kNotSeen) {
        next = sequence + 1;
        ++verdict_.delivered;
        return true;
    }
    if (sequence > next) {
        missing_[stream].push_back({next, sequence});
        next = sequence + 1;
        ++verdict_.delivered;
        return true;
    }
    if (take_missing(stream, sequence)) {
        ++verdict_.disordered;
        ++verdict_.delivered;
        return true;
    }
    ++(marked == Marked::yes ? verdict_.repeated : verdict_.doubled);
    return false;
}

Verdict Verifier::judge(std::span<const std::uint32_t> sent) const {
    Verdict verdict = verdict_;
    for (std::size_t stream = 0; stream < next_.size(); ++stream) {
        const std::size_t flow = own_ ? stream : stream % flows_;
        if (flow >= sent.size() || next_[stream] == kNotSeen) continue;
        if (sent[flow] > next_[stream]) verdict.lost += sent[flow] - next_[stream];
    }
    for (const auto& [stream, ranges] : missing_) {
        for (const Range& range : ranges) verdict.lost += range.end - range.begin;
    }
    return verdict;
}

}  // namespace stentor::bench
