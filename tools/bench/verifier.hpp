#pragma once
// Judges every message a subscriber gets: expected, lost, doubled, out of order, or not its own.
// Pure; allocates at construction, and where something is wrong. One thread.
//
// Four bytes per stream (a flow at one subscriber), as long as messages come in order; a gap adds
// the missing range, which is forgotten again when the messages come late.

#include "tools/bench/plan.hpp"

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace stentor::bench {

struct Verdict {
    std::uint64_t delivered = 0;   // counted once each
    std::uint64_t lost = 0;        // sent and never seen
    std::uint64_t doubled = 0;     // seen before, and nobody said so
    std::uint64_t repeated = 0;    // seen before, QoS 1 with DUP: what QoS 1 allows
    std::uint64_t disordered = 0;  // after one that was sent later
    std::uint64_t foreign = 0;     // of this run, but not subscribed to

    [[nodiscard]] bool flawless() const noexcept {
        return lost == 0 && doubled == 0 && disordered == 0 && foreign == 0;
    }
};

/// Where a stream begins: at 0, or (a subscriber that came late) with the first message seen.
enum class StreamStart : std::uint8_t { zero, first_seen };

/// Whether the sender has marked the message as a possible repetition.
enum class Marked : std::uint8_t { no, yes };

class Verifier {
  public:
    /// One stream per subscriber and flow it listens to; see kStreamsMax.
    Verifier(const Plan& plan, StreamStart start);

    /// True: a message this subscriber has not had yet.
    bool on_message(std::uint32_t subscriber,
                    std::uint32_t flow,
                    std::uint32_t sequence,
                    Marked marked) {
        if (flow >= flows_ || (own_ && flow != subscriber)) {
            ++verdict_.foreign;
            return false;
        }
        const std::size_t stream = own_ ? subscriber : std::size_t{subscriber} * flows_ + flow;
        if (next_[stream] != sequence) return on_surprise(stream, sequence, marked);
        ++next_[stream];
        ++verdict_.delivered;
        return true;
    }

    /// The judgement when `sent[flow]` messages have been sent; what is missing is lost.
    [[nodiscard]] Verdict judge(std::span<const std::uint32_t> sent) const;

    [[nodiscard]] std::uint64_t delivered() const noexcept { return verdict_.delivered; }

  private:
    struct Range {
        std::uint32_t begin;
        std::uint32_t end;
    };

    bool on_surprise(std::size_t stream, std::uint32_t sequence, Marked marked);
    bool take_missing(std::size_t stream, std::uint32_t sequence);

    static constexpr std::uint32_t kNotSeen = 0xFFFF'FFFF;

    std::uint32_t flows_;
    bool own_;
    std::vector<std::uint32_t> next_;
    std::unordered_map<std::size_t, std::vector<Range>> missing_;
    Verdict verdict_;
};

/// Of a plan: 400 MB of streams. The options refuse what would need more.
inline constexpr std::uint64_t kStreamsMax = 100'000'000;
[[nodiscard]] std::uint64_t streams(const Plan& plan) noexcept;

}  // namespace stentor::bench
