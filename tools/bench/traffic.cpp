#include "tools/bench/traffic.hpp"

#include "protocol/codec/encoder.hpp"
#include "tools/bench/stamp.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace stentor::bench {
namespace {

using mqtt::QoS;

constexpr std::size_t kOutputBytes = std::size_t{64} * 1024;
constexpr std::size_t kAnswersBytes = std::size_t{64} * 1024;
constexpr std::size_t kTopicDigits = 8;
constexpr std::uint64_t kNoBound = std::numeric_limits<std::uint64_t>::max();
constexpr Duration kIdleMax = std::chrono::milliseconds{100};

void write_digits(std::byte* to, std::uint32_t number) noexcept {
    for (std::size_t i = kTopicDigits; i > 0; --i) {
        to[i - 1] = static_cast<std::byte>('0' + number % 10U);
        number /= 10U;
    }
}

}  // namespace

Traffic::Traffic(const Plan& plan, const TrafficOptions& options, Fleet& fleet)
    : plan_{plan},
      options_{options},
      fleet_{fleet},
      verifier_{plan, options.start},
      run_{run_number(plan.run)},
      publishers_(plan.publishers),
      flow_sent_(plan.flows()) {
    STENTOR_ASSERT(options.payload_bytes >= kStampBytes && options.window <= kWindowMax);
    if (plan.qos != QoS::at_most_once) {
        slots_per_publisher_ = std::bit_ceil(std::size_t{std::max(options.window, 1U)});
        slots_.resize(slots_per_publisher_ * plan.publishers);
    }
    make_template();
    output_.resize(std::max(kOutputBytes, template_.size()));
    answers_.resize(kAnswersBytes);
}

void Traffic::make_template() {
    const std::string topic = plan_.topic(0);
    const Bytes payload(options_.payload_bytes);
    mqtt::WireBuffer packet;
    const PacketId packet_id{static_cast<std::uint16_t>(plan_.qos == QoS::at_most_once ? 0 : 1)};
    (void)mqtt::encode_publish(packet,
                               options_.version,
                               mqtt::Publish{.topic = topic,
                                             .payload = payload,
                                             .qos = plan_.qos,
                                             .retain = options_.retain,
                                             .packet_id = packet_id});
    template_ = packet.take();
    payload_at_ = template_.size() - payload.size();
    const std::size_t properties = options_.version == mqtt::ProtocolVersion::v5 ? 1 : 0;
    packet_id_at_ = payload_at_ - properties - (plan_.qos == QoS::at_most_once ? 0 : 2);
    topic_digits_at_ = packet_id_at_ - kTopicDigits;
}

void Traffic::start(Instant now, std::uint32_t fan) {
    started_ = now;
    last_arrival_ = now;
    fan_ = fan;
    publishing_ = true;
    total_ = options_.count == 0 ? kNoBound : options_.count;
    for (std::uint32_t i = 0; i < plan_.publishers; ++i) {
        Publisher& self = publishers_[i];
        const bool one_more = i < total_ % plan_.publishers;
        self.quota = total_ == kNoBound ? kNoBound : total_ / plan_.publishers + (one_more ? 1 : 0);
        self.next_flow = i;
        self.window = std::min<std::uint32_t>(options_.window, fleet_.receive_maximum(i));
        if (options_.rate <= 0) queue(i);
    }
}

void Traffic::stop() noexcept {
    if (options_.rate > 0) {
        total_ = std::min(total_, scheduled_);
    } else {
        publishing_ = false;
    }
}

void Traffic::queue(std::uint32_t publisher) {
    Publisher& self = publishers_[publisher];
    if (self.queued || !publishing_) return;
    self.queued = true;
    queue_.push_back(publisher);
}

void Traffic::writable(std::uint32_t client) {
    if (plan_.is_publisher(client)) queue(client);
}

Instant Traffic::due_time(std::uint64_t number) const noexcept {
    const double offset = static_cast<double>(number) * 1e6 / options_.rate;
    return started_ + Duration{static_cast<Duration::rep>(offset)};
}

void Traffic::release_due(Instant now) {
    while (scheduled_ < total_ && due_time(scheduled_) <= now) {
        const auto publisher = static_cast<std::uint32_t>(scheduled_ % plan_.publishers);
        ++publishers_[publisher].due;
        queue(publisher);
        ++scheduled_;
    }
}

Duration Traffic::idle_time(Instant now) const noexcept {
    if (!queue_.empty()) return Duration::zero();
    if (options_.rate <= 0 || !publishing() || scheduled_ >= total_) return kIdleMax;
    return std::clamp(due_time(scheduled_) - now, Duration::zero(), kIdleMax);
}

std::uint64_t Traffic::allowance(const Publisher& self) const noexcept {
    std::uint64_t can = self.quota - self.sent;
    if (options_.rate > 0) can = std::min(can, self.due - self.sent);
    if (plan_.qos != QoS::at_most_once) {
        can = std::min<std::uint64_t>(can, self.window - self.unacknowledged);
    }
    if (options_.rate > 0 || options_.window == 0) return can;
    if (fan_ > 0) {
        const std::uint64_t outstanding = self.sent * fan_ - self.delivered;
        const std::uint64_t under_way = (outstanding + fan_ - 1) / fan_;
        can = std::min(can, self.window - std::min<std::uint64_t>(self.window, under_way));
    }
    // Few large batches cost broker and kernel less than many small ones.
    const auto wanted = std::min<std::uint64_t>(
        {options_.batch, std::uint64_t{self.window}, self.quota - self.sent});
    return can < wanted ? 0 : can;
}

std::byte* Traffic::write_message(std::byte* to,
                                  std::uint32_t index,
                                  Publisher& self,
                                  Instant now) {
    const Instant due = options_.rate > 0 ? due_time(self.sent * plan_.publishers + index) : now;
    const std::uint32_t flow = self.next_flow;
    self.next_flow += plan_.publishers;
    if (self.next_flow >= flow_sent_.size()) self.next_flow = index;
    std::memcpy(to, template_.data(), template_.size());
    if (plan_.topics > 1) write_digits(to + topic_digits_at_, plan_.topic_of(flow));
    if (plan_.qos != QoS::at_most_once) {
        self.last_id = static_cast<std::uint16_t>(self.last_id == 0xFFFF ? 1 : self.last_id + 1);
        store_u16({to + packet_id_at_, 2}, self.last_id);
        slot(index, self.last_id) = {due, self.last_id, false};
        ++self.unacknowledged;
        ++unacknowledged_;
    }
    write_stamp(to + payload_at_, {run_, flow, flow_sent_[flow]++, 0, due});
    ++self.sent;
    return to + template_.size();
}

void Traffic::publish(std::uint32_t index, Instant now) {
    Publisher& self = publishers_[index];
    self.queued = false;
    if (fleet_.blocked(index) || !fleet_.is_ready(index)) return;  // writable() comes
    const std::uint64_t can = allowance(self);
    const auto batch = std::min<std::uint64_t>(can, output_.size() / template_.size());
    std::byte* end = output_.data();
    std::uint64_t written = 0;
    for (; written < batch; ++written) {
        // An old identifier may still be under way while the younger ones are done.
        const auto next = static_cast<std::uint16_t>(self.last_id == 0xFFFF ? 1 : self.last_id + 1);
        if (!slots_.empty() && slot(index, next).id != 0) break;
        end = write_message(end, index, self, now);
    }
    if (fan_ > 0 && options_.rate <= 0) {
        const std::uint64_t sent = self.sent * fan_;
        const std::uint64_t spare =
            std::uint64_t{self.window - std::min(self.window, options_.batch)} * fan_;
        self.wake_at = sent - std::min(sent, spare);
    }
    if (written == 0) return;
    counters_.published += written;
    fleet_.send(index, {output_.data(), end});
    if (written == batch && can > batch) queue(index);
}

void Traffic::pump(Instant now) {
    if (!publishing_) return;
    if (options_.rate > 0) release_due(now);
    queue_next_.clear();
    queue_next_.swap(queue_);
    for (const std::uint32_t publisher : queue_next_) publish(publisher, monotonic_now());
}

}  // namespace stentor::bench
