#pragma once
// The messages of a run: what publishers may send now, what subscribers get, what it took.
// One thread (the fleet's). No allocation per message; one send per publisher and turn.
//
// Closed loop: `window` messages per publisher are under way, acknowledged (QoS 1, 2) and delivered
// to all subscribers before the next ones leave. Open loop (`rate`): messages have a schedule, and
// their latency counts from the time they were due, however late we or the broker are.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "tools/bench/fleet.hpp"
#include "tools/bench/histogram.hpp"
#include "tools/bench/plan.hpp"
#include "tools/bench/verifier.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stentor::bench {

struct TrafficOptions {
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::uint32_t payload_bytes = 64;  // at least kStampBytes
    std::uint32_t window = 32;         // per publisher; 0: what TCP takes, QoS 0 only
    std::uint32_t batch = 16;          // so much of the window must be free before more is sent
    double rate = 0;                   // messages per second, all publishers together; 0: closed
    std::uint64_t count = 0;           // messages, all publishers together; 0: no bound
    StreamStart start = StreamStart::zero;
    bool retain = false;
};
inline constexpr std::uint32_t kWindowMax = 32'768;

struct TrafficCounters {
    std::uint64_t published = 0;
    std::uint64_t acknowledged = 0;  // PUBACK or PUBCOMP without an error
    std::uint64_t refused = 0;       // ... with one
    std::uint64_t received = 0;      // every PUBLISH, whatever it is worth
    std::uint64_t strangers = 0;     // PUBLISH of other runs
};

class Traffic final : public FleetHandler {
  public:
    Traffic(const Plan& plan, const TrafficOptions& options, Fleet& fleet);

    std::size_t received(std::uint32_t client, ByteView bytes, Instant now) override;
    void ready(std::uint32_t /*client*/) override {}
    void writable(std::uint32_t client) override;

    /// All publishers are ready. `fan`: how many subscribers get each message at once; 0 while they
    /// are offline, and the window is about acknowledgements alone.
    void start(Instant now, std::uint32_t fan);
    /// Sends what may go now.
    void pump(Instant now);
    /// Nothing more becomes due. In an open loop, what is late already is still sent.
    void stop() noexcept;
    /// Nothing more is sent; unsent() says what that leaves out.
    void abandon() noexcept { publishing_ = false; }
    [[nodiscard]] std::uint64_t unsent() const noexcept {
        return options_.rate > 0 ? scheduled_ - counters_.published : 0;
    }

    [[nodiscard]] bool publishing() const noexcept {
        return publishing_ && counters_.published < total_;
    }
    /// Everything published is acknowledged.
    [[nodiscard]] bool acknowledged() const noexcept { return unacknowledged_ == 0; }
    /// How long turn() may wait for events.
    [[nodiscard]] Duration idle_time(Instant now) const noexcept;

    [[nodiscard]] const TrafficCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] std::uint64_t delivered() const noexcept { return verifier_.delivered(); }
    /// Deliveries that are to be, with all subscribers there.
    [[nodiscard]] std::uint64_t expected() const noexcept {
        return counters_.published * plan_.fan();
    }
    [[nodiscard]] Verdict verdict() const { return verifier_.judge(flow_sent_); }
    /// From the message's time to its arrival; to its acknowledgement. Cleared between phases.
    [[nodiscard]] Histogram& delivery_latency() noexcept { return delivery_latency_; }
    [[nodiscard]] Histogram& acknowledge_latency() noexcept { return acknowledge_latency_; }
    [[nodiscard]] Instant last_arrival() const noexcept { return last_arrival_; }

  private:
    struct Slot {
        Instant due;
        std::uint16_t id = 0;   // 0: free
        bool released = false;  // QoS 2: PUBREL is sent
    };
    struct Publisher {
        std::uint64_t sent = 0;
        std::uint64_t quota = 0;
        std::uint64_t due = 0;        // open loop: may have been sent by now
        std::uint64_t delivered = 0;  // to all its subscribers
        std::uint64_t wake_at = 0;    // look again when that much is delivered
        std::uint32_t next_flow = 0;
        std::uint32_t unacknowledged = 0;
        std::uint32_t window = 0;
        std::uint16_t last_id = 0;
        bool queued = false;
    };

    // traffic_receive.cpp
    bool on_packet(std::uint32_t client, std::uint8_t first, ByteView packet, ByteView body);
    bool on_publish(std::uint32_t client, std::uint8_t first, ByteView body);
    bool on_acknowledgement(std::uint32_t client, std::uint8_t first, ByteView body);
    void finish_slot(std::uint32_t publisher, Slot& slot, bool failed);
    void deliver(std::uint32_t client, ByteView payload, Marked marked);
    void answer(std::uint32_t client, std::uint8_t first, std::uint16_t packet_id);
    void send_answers(std::uint32_t client);

    // traffic.cpp
    void make_template();
    void queue(std::uint32_t publisher);
    void release_due(Instant now);
    [[nodiscard]] std::uint64_t allowance(const Publisher& publisher) const noexcept;
    void publish(std::uint32_t index, Instant now);
    std::byte* write_message(std::byte* to, std::uint32_t index, Publisher& self, Instant now);
    [[nodiscard]] Instant due_time(std::uint64_t number) const noexcept;
    [[nodiscard]] Slot& slot(std::uint32_t publisher, std::uint16_t id) noexcept {
        return slots_[std::size_t{publisher} * slots_per_publisher_ +
                      (id & (slots_per_publisher_ - 1))];
    }

    const Plan& plan_;
    TrafficOptions options_;
    Fleet& fleet_;
    Verifier verifier_;
    std::uint32_t run_;
    std::uint32_t fan_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t scheduled_ = 0;  // open loop: messages that have become due
    std::uint64_t unacknowledged_ = 0;
    bool publishing_ = false;
    Instant started_;
    Instant now_;
    Instant last_arrival_;
    TrafficCounters counters_;
    std::vector<Publisher> publishers_;
    std::vector<std::uint32_t> queue_;       // publishers to look at
    std::vector<std::uint32_t> queue_next_;  // the same, swapped
    std::vector<std::uint32_t> flow_sent_;
    std::vector<Slot> slots_;
    std::size_t slots_per_publisher_ = 0;
    Bytes template_;  // a whole PUBLISH
    std::size_t topic_digits_at_ = 0;
    std::size_t packet_id_at_ = 0;
    std::size_t payload_at_ = 0;
    Bytes output_;  // one batch of one publisher
    Bytes answers_;
    std::size_t answers_size_ = 0;
    Histogram delivery_latency_;
    Histogram acknowledge_latency_;
};

}  // namespace stentor::bench
