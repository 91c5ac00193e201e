// The simulated broker: shards, mailboxes and store of the product in this thread, with a clock
// that jumps. In the first run of a row bytes arrive as they were sent; in the others in fragments,
// and the broker's kernel takes its packets in pieces.

#include "server/config/load.hpp"
#include "tests/conformance/driver.hpp"
#include "tests/sim/broker.hpp"
#include "tests/sim/wire.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace stentor::conformance {
namespace {

constexpr std::size_t kKernelBytes = std::size_t{1} << 20U;
constexpr int kQuietRoundsMax = 100;

// What a simulated broker has of the configuration; rows that set other keys do not run.
constexpr std::array<std::string_view, 10> kKeys{"node.shards",
                                                 "limits.connect_timeout",
                                                 "limits.inflight_maximum",
                                                 "limits.keepalive_max",
                                                 "limits.packet_bytes_max",
                                                 "limits.receive_maximum",
                                                 "limits.session_backlog_messages_max",
                                                 "limits.session_expiry_max",
                                                 "limits.subscriptions_per_session_max",
                                                 "limits.topic_aliases_max"};

template <class Integer>
Integer whole_seconds(std::chrono::milliseconds duration) {
    return static_cast<Integer>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

sim::BrokerOptions broker_options(const Row& row, unsigned run) {
    config::Sources sources;
    for (const auto& [key, value] : row.settings) {
        sources.settings.push_back(std::string{key}.append(1, '=').append(value));
    }
    const auto loaded = config::load(sources);
    if (!loaded) throw std::runtime_error{"the settings of the row are not valid"};
    const config::LimitOptions& from = loaded->options.limits;
    sim::BrokerOptions to;
    to.seed = run + 1;
    to.shards = run == 0 ? 2 : 3;
    if (const auto shards = loaded->options.node.shards; shards != 0) {
        to.shards = static_cast<std::uint16_t>(shards);
    }
    to.test_method = run % 2 == 0 ? sim::TestMethod::prompt : sim::TestMethod::slow;
    mqtt::SessionLimits& limits = to.shard.limits;
    limits.packet_bytes_max = from.packet_bytes_max;
    limits.receive_maximum = from.receive_maximum;
    limits.inflight_maximum = from.inflight_maximum;
    limits.topic_aliases_max = from.topic_aliases_max;
    limits.subscriptions_per_session_max = from.subscriptions_per_session_max;
    limits.session_expiry_seconds_max = whole_seconds<std::uint32_t>(from.session_expiry_max);
    limits.keep_alive_seconds_max = whole_seconds<std::uint16_t>(from.keepalive_max);
    to.shard.connect_timeout = from.connect_timeout;
    to.shard.backlog.messages_max = from.session_backlog_messages_max;
    return to;
}

// The client's end of a wire; its bytes reach the broker's end as deliver() lets them.
class SimWire final : public Wire {
  public:
    SimWire(sim::WirePtr wire, std::shared_ptr<Octets> outgoing)
        : wire_{std::move(wire)}, outgoing_{std::move(outgoing)} {}
    ~SimWire() override { SimWire::drop(); }

    void send(std::string_view octets) override { *outgoing_ += octets; }
    std::optional<Octets> receive() override {
        if (wire_->down.empty() && wire_->server_closed) return std::nullopt;
        Octets octets{as_text(wire_->down)};
        wire_->down.clear();
        return octets;
    }
    void drop() override { wire_->client_closed = true; }

    [[nodiscard]] bool has_news() const { return !wire_->down.empty() || wire_->server_closed; }

  private:
    sim::WirePtr wire_;
    std::shared_ptr<Octets> outgoing_;
};

class SimBroker final : public Broker {
  public:
    SimBroker(const sim::BrokerOptions& options, bool whole)
        : random_{options.seed}, whole_{whole}, broker_{options, now_} {
        broker_.be_gentle();
    }

    std::unique_ptr<Wire> connect() override {
        auto wire = std::make_shared<sim::Wire>();
        wire->number = wires_.size();
        wire->kernel_bytes = whole_ ? kKernelBytes : random_.between(1, 4096);
        broker_.accept(wires_.size() % broker_.shards(), wire);
        wires_.push_back({wire, std::make_shared<Octets>()});
        return std::make_unique<SimWire>(std::move(wire), wires_.back().outgoing);
    }

    bool wait(std::span<Wire* const> wires) override {
        for (int quiet = 0; quiet < kQuietRoundsMax; ++quiet) {
            const bool news = std::ranges::any_of(
                wires, [](Wire* wire) { return dynamic_cast<SimWire&>(*wire).has_news(); });
            if (news) return true;
            run_round();
            if (busy()) quiet = 0;
        }
        return false;
    }

    void settle() override {
        for (int quiet = 0; quiet < kQuietRounds; ++quiet) {
            run_round();
            if (busy()) quiet = 0;
        }
    }

    void advance(std::chrono::milliseconds by) override {
        SimBroker::settle();
        const Instant target = saturating_add(now_, by);
        // From deadline to deadline; those that are close together count as one.
        const Duration least = by / kStepsMax;
        while (now_ < target) {
            now_ = std::min(target, std::max(next_deadline(), saturating_add(now_, least)));
            settle();
        }
    }

    void stop() override { (void)broker_.drain(); }
    std::string log() const override { return "(the simulated broker keeps none)\n"; }

  private:
    struct Pipe {
        sim::WirePtr wire;
        std::shared_ptr<Octets> outgoing;
    };

    void deliver(Pipe& pipe) {
        sim::Wire& wire = *pipe.wire;
        if (wire.server_closed) return;
        const std::size_t most = pipe.outgoing->size();
        const std::size_t bytes =
            whole_ ? most : std::min(most, random_.between(0, std::max<std::size_t>(40, most / 8)));
        const ByteView piece = as_bytes(*pipe.outgoing).first(bytes);
        wire.up.insert(wire.up.end(), piece.begin(), piece.end());
        pipe.outgoing->erase(0, bytes);
        // Once all that was sent has been read, the server's kernel reports the close.
        wire.reset = wire.client_closed && pipe.outgoing->empty() && wire.up.empty() &&
                     wire.unconsumed.empty();
    }

    void run_round() {
        for (Pipe& pipe : wires_) deliver(pipe);
        for (std::size_t i = 0; i < broker_.shards(); ++i) broker_.run_shard(i);
        broker_.run_engine();
        broker_.run_others();
        now_ = saturating_add(now_, kRound);
    }
    /// Something waits for more than time.
    [[nodiscard]] bool busy() const {
        return !broker_.idle() || std::ranges::any_of(wires_, [](const Pipe& pipe) {
            return !pipe.wire->server_closed && !pipe.outgoing->empty();
        });
    }
    [[nodiscard]] Instant next_deadline() const {
        Instant next = kNever;
        for (std::size_t i = 0; i < broker_.shards(); ++i) {
            next = std::min(next, broker_.shard(i).next_deadline());
        }
        return next;
    }

    static constexpr int kStepsMax = 500;
    static constexpr Duration kRound = std::chrono::microseconds{10};
    static constexpr int kQuietRounds = 5;

    Instant now_ = saturating_add(Instant{}, std::chrono::hours{1});
    Random random_;
    bool whole_;
    sim::Broker broker_;
    std::vector<Pipe> wires_;
};

class SimDriver final : public Driver {
  public:
    std::string cannot_run(const Row& row) const override {
        for (const std::string& need : row.needs) {
            if (need != "sim" && need != "clock" && need != "test-auth") return "needs " + need;
        }
        for (const auto& [key, value] : row.settings) {
            if (std::ranges::find(kKeys, key) == kKeys.end()) return "has no " + key;
        }
        return {};
    }
    unsigned runs() const override { return 4; }
    std::unique_ptr<Broker> start(const Row& row, unsigned run) override {
        return std::make_unique<SimBroker>(broker_options(row, run), run == 0);
    }
};

}  // namespace

std::unique_ptr<Driver> make_driver() { return std::make_unique<SimDriver>(); }

}  // namespace stentor::conformance
