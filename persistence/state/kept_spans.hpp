#pragma once
// What a subscription still owes by the QoS it had: SUBSCRIBE may replace QoS 1 or 2 by 0 while
// messages wait, and none of them may be lost by that [MQTT-3.8.4-3, 3.1.1; 3.8.4-4, 5.0]. They are
// named by their positions. The log has them anyway; what comes later is not logged for the filter.
// Value, of a pointer's size and without memory while nothing is owed. Pure.

#include "base/ids.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace stentor::store {

/// Messages with since < position <= until are owed with their own QoS, `qos` at most.
struct KeptSpan {
    Seq since;
    Seq until;
    mqtt::QoS qos = mqtt::QoS::at_least_once;
    friend bool operator==(const KeptSpan&, const KeptSpan&) = default;
};

/// A SUBSCRIBE replaces a subscription of QoS `before`: whether what waits for it would not be read
/// from the log by the options it has then. With QoS above 0 on both sides `since` stays, unless
/// an UNSUBSCRIBE or SUBSCRIBE between the two has failed to get into the log.
[[nodiscard]] constexpr bool leaves_span(mqtt::QoS before,
                                         mqtt::QoS after,
                                         bool keeps_since) noexcept {
    return before != mqtt::QoS::at_most_once && (after == mqtt::QoS::at_most_once || !keeps_since);
}

class KeptSpans {
  public:
    /// A client may change its QoS again and again while nothing is sent: the two oldest become one
    /// then, with what lies between them.
    static constexpr std::size_t kMost = 8;

    KeptSpans() noexcept = default;
    KeptSpans(const KeptSpans& other);
    KeptSpans& operator=(const KeptSpans& other);
    KeptSpans(KeptSpans&&) noexcept = default;
    KeptSpans& operator=(KeptSpans&&) noexcept = default;
    ~KeptSpans() = default;

    /// `span` lies behind those before it. All up to `position` has been sent.
    void keep(const KeptSpan& span, Seq position);
    void forget_through(Seq position);

    /// Ascending.
    [[nodiscard]] std::span<const KeptSpan> all() const noexcept;
    [[nodiscard]] bool empty() const noexcept { return spans_ == nullptr; }
    /// Of the newest; kNoSeq: there is none.
    [[nodiscard]] Seq last() const noexcept;
    /// What a message at `seq` is granted; QoS 0: it is none of these.
    [[nodiscard]] mqtt::QoS at(Seq seq) const noexcept;
    /// The lowest position above `position` that may be owed.
    [[nodiscard]] std::optional<Seq> needed_from(Seq position) const noexcept;

    friend bool operator==(const KeptSpans& a, const KeptSpans& b) noexcept;

  private:
    std::unique_ptr<std::vector<KeptSpan>> spans_;  // null: none
};

}  // namespace stentor::store
