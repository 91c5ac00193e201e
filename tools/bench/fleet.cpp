#include "tools/bench/fleet.hpp"

#include "protocol/codec/encoder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <utility>

namespace stentor::bench {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{512} * 1024;
constexpr std::size_t kEventsPerTurn = 256;
constexpr std::uint32_t kSessionExpirySeconds = 3600;
constexpr PacketId kSubscribeId{1};

std::string quoted(std::string_view what, const std::string& client) {
    return fmt::format("{}: {}", client, what);
}

/// Sends all of `from`, as far as the channel takes it.
Channel::State drain(Channel& channel, mqtt::WireBuffer& from) {
    if (const Channel::State before = channel.flush(); before != Channel::State::open) {
        return before;
    }
    while (!from.empty()) {
        const auto [bytes, state] = channel.send(from.front());
        from.consume(bytes);
        if (state != Channel::State::open) return state;
    }
    return Channel::State::open;
}

}  // namespace

Fleet::Fleet(const Plan& plan, FleetOptions options, Target target)
    : plan_{plan},
      options_{std::move(options)},
      target_{std::move(target)},
      epoll_{::epoll_create1(EPOLL_CLOEXEC)},
      clients_(plan.clients()),
      arena_{std::make_unique<std::byte[]>(kArenaBytes)},
      now_{monotonic_now()} {
    STENTOR_ASSERT(epoll_ >= 0);
}

Fleet::~Fleet() { ::close(epoll_); }

void Fleet::poll_for(std::uint32_t index, std::uint32_t events) noexcept {
    Client& client = clients_[index];
    if (client.polled == events) return;
    epoll_event event{.events = events, .data = {.u32 = index}};
    const int operation = client.polled == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    (void)::epoll_ctl(epoll_, operation, client.channel.descriptor(), &event);
    client.polled = events;
}

void Fleet::enter(Client& client, Phase phase) noexcept {
    const auto count = [this](Phase of) -> std::uint32_t* {
        switch (of) {
            case Phase::closed:
                return nullptr;
            case Phase::ready:
                return &ready_;
            case Phase::leaving:
                return &leaving_;
            default:
                return &busy_;
        }
    };
    if (auto* before = count(client.phase)) --*before;
    if (auto* after = count(phase)) ++*after;
    client.phase = phase;
}

void Fleet::open(std::uint32_t client, SessionUse use, Instant due) {
    Client& self = clients_[client];
    STENTOR_ASSERT(self.phase == Phase::closed);
    self = Client{};
    self.due = due;
    self.use = use;
    auto channel = Channel::open(target_, client % options_.sources);
    enter(self, Phase::connecting);
    if (!channel) {
        fail(client, fmt::format("cannot connect: {}", std::strerror(channel.error())));
        return;
    }
    self.channel = *std::move(channel);
    poll_for(client, EPOLLOUT);
}

void Fleet::connected(std::uint32_t index) {
    Client& client = clients_[index];
    if (const int error = client.channel.connect_error(); error != 0) {
        fail(index, fmt::format("cannot connect: {}", std::strerror(error)));
        return;
    }
    const Channel::State state = client.channel.begin();
    if (state == Channel::State::open && client.channel.is_ready()) {
        greet(index);
    } else {
        enter(client, Phase::securing);
        poll_for(index, EPOLLIN | (client.channel.has_pending() ? EPOLLOUT : 0U));
    }
}

void Fleet::secure(std::uint32_t index) {
    Client& client = clients_[index];
    (void)client.channel.flush();
    const auto [bytes, state] = client.channel.receive({arena_.get(), kArenaBytes});
    if (state == Channel::State::closed) {
        const std::string& why = client.channel.why();
        fail(index,
             why.empty() ? "the broker has closed the connection before the handshakes were done; "
                           "is it a door for that?"
                         : std::string{why});
    } else if (bytes != 0) {
        fail(index, "the broker spoke first");
    } else if (client.channel.is_ready()) {
        greet(index);
    } else {
        poll_for(index, EPOLLIN | (client.channel.has_pending() ? EPOLLOUT : 0U));
    }
}

void Fleet::greet(std::uint32_t index) {
    Client& client = clients_[index];
    const bool durable =
        options_.durable && !plan_.is_publisher(index) && client.use != SessionUse::forget;
    const bool v5 = options_.version == mqtt::ProtocolVersion::v5;
    mqtt::PropertyWriter properties;
    if (v5 && durable) {
        properties.number(mqtt::Property::session_expiry_interval, kSessionExpirySeconds);
    }
    if (v5 && options_.receive_maximum != 0) {
        properties.number(mqtt::Property::receive_maximum, options_.receive_maximum);
    }
    const std::string id = plan_.client_id(index);
    mqtt::Connect connect{.version = options_.version,
                          // 3.1.1 calls it Clean Session, and then nothing is kept.
                          .clean_start = client.use != SessionUse::resume && (v5 || !durable),
                          .client_id = id,
                          .properties = properties.bytes()};
    if (options_.user_name) connect.user_name = *options_.user_name;
    if (options_.password) connect.password = as_bytes(*options_.password);
    (void)mqtt::encode_connect(client.output, connect);
    enter(client, Phase::greeting);
    flush(index);
}

void Fleet::subscribe(std::uint32_t index) {
    Client& client = clients_[index];
    const std::vector<std::string> filters = plan_.filters(index);
    if (filters.empty() || client.use != SessionUse::fresh) {
        become_ready(index);
        return;
    }
    std::vector<mqtt::SubscriptionView> subscriptions;
    subscriptions.reserve(filters.size());
    for (const std::string& filter : filters) {
        subscriptions.push_back({.filter = filter, .options = {.qos = plan_.qos}});
    }
    enter(client, Phase::subscribing);
    (void)mqtt::encode_subscribe(client.output,
                                 options_.version,
                                 {.packet_id = kSubscribeId, .subscriptions = subscriptions});
    flush(index);
}

void Fleet::become_ready(std::uint32_t index) {
    enter(clients_[index], Phase::ready);
    connect_latency_.record(now_ - clients_[index].due);
    handler_->ready(index);
}

void Fleet::turn(Duration wait) {
    std::array<epoll_event, kEventsPerTurn> events{};
    const auto nanoseconds = std::chrono::nanoseconds{std::max(wait, Duration::zero())}.count();
    const timespec timeout{.tv_sec = nanoseconds / 1'000'000'000,
                           .tv_nsec = nanoseconds % 1'000'000'000};
    const int count = ::epoll_pwait2(epoll_, events.data(), kEventsPerTurn, &timeout, nullptr);
    now_ = monotonic_now();
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        on_event(event.data.u32, event.events);
    }
}

void Fleet::on_event(std::uint32_t index, std::uint32_t events) {
    switch (clients_[index].phase) {
        case Phase::closed:
            return;
        case Phase::connecting:
            connected(index);
            return;
        case Phase::securing:
            secure(index);
            return;
        default:
            break;
    }
    if ((events & EPOLLOUT) != 0) {
        flush(index);
        if (clients_[index].phase == Phase::closed) return;
        if (!blocked(index)) handler_->writable(index);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive(index);
}

void Fleet::receive(std::uint32_t index) {
    Client& client = clients_[index];
    std::size_t have = client.partial.size();
    if (have + Channel::kReceiveBytesMin > kArenaBytes) {
        fail(index, "a packet is larger than the generator takes");
        return;
    }
    std::copy(client.partial.begin(), client.partial.end(), arena_.get());
    const auto [bytes, state] = client.channel.receive({arena_.get() + have, kArenaBytes - have});
    if (state == Channel::State::blocked) return;
    if (state == Channel::State::closed) {
        if (client.phase == Phase::leaving) {
            client.channel.close();
            enter(client, Phase::closed);
        } else {
            const std::string& why = client.channel.why();
            fail(index, why.empty() ? "the broker has closed the connection" : std::string{why});
        }
        return;
    }
    have += bytes;
    // What comes behind our DISCONNECT is nobody's any more.
    if (client.phase == Phase::leaving || bytes == 0) return;
    const std::size_t used = handler_->received(index, {arena_.get(), have}, now_);
    client.partial.assign(arena_.get() + used, arena_.get() + have);
}

void Fleet::flush(std::uint32_t index) {
    Client& client = clients_[index];
    const Channel::State state = drain(client.channel, client.output);
    if (state == Channel::State::closed) {
        fail(index, "the broker has closed the connection");
        return;
    }
    if (client.phase == Phase::leaving && client.output.empty()) client.channel.finish();
    poll_for(index, EPOLLIN | (blocked(index) ? EPOLLOUT : 0U));
}

void Fleet::send(std::uint32_t client, ByteView bytes) {
    Client& self = clients_[client];
    if (!self.output.empty()) {
        self.output.append(bytes);
        return;
    }
    const auto [sent, state] = self.channel.send(bytes);
    if (state == Channel::State::open) return;
    if (state == Channel::State::closed) {
        fail(client, "the broker has closed the connection");
        return;
    }
    self.output.append(bytes.subspan(sent));
    poll_for(client, EPOLLIN | EPOLLOUT);
}

void Fleet::leave(std::uint32_t client, Farewell farewell) {
    Client& self = clients_[client];
    if (self.phase == Phase::closed || self.phase == Phase::leaving) return;
    if (!self.channel.is_ready()) {  // no way to say it
        cut(client);
        return;
    }
    mqtt::PropertyWriter properties;
    if (farewell == Farewell::forget_session && options_.durable && !plan_.is_publisher(client) &&
        options_.version == mqtt::ProtocolVersion::v5) {
        properties.number(mqtt::Property::session_expiry_interval, 0);
    }
    (void)mqtt::encode_disconnect(
        self.output, options_.version, {.properties = properties.bytes()});
    enter(self, Phase::leaving);
    flush(client);
}

void Fleet::cut(std::uint32_t client) {
    clients_[client].channel.cut();
    enter(clients_[client], Phase::closed);
}

void Fleet::fail(std::uint32_t client, std::string_view what) {
    Client& self = clients_[client];
    // Whoever is leaving has nothing to lose.
    if (self.phase != Phase::leaving) {
        ++failures_;
        if (first_failure_.empty()) first_failure_ = quoted(what, plan_.client_id(client));
    }
    self.channel.close();
    self.output.clear();
    enter(self, Phase::closed);
}

void Fleet::on_control(std::uint32_t client, ByteView packet) {
    mqtt::Decoder decoder{options_.version, {.packet_bytes_max = kArenaBytes}};
    const auto step = decoder.next(packet);
    const auto* decoded = step ? std::get_if<mqtt::Decoded>(&*step) : nullptr;
    if (decoded == nullptr) {
        fail(client, "the broker sent a packet that is malformed, or not for clients");
        return;
    }
    if (const auto* connack = std::get_if<mqtt::ConnackView>(&decoded->packet)) {
        on_connack(client, *connack);
    } else if (const auto* suback = std::get_if<mqtt::SubackView>(&decoded->packet)) {
        on_suback(client, *suback);
    } else if (const auto* disconnect = std::get_if<mqtt::DisconnectView>(&decoded->packet)) {
        fail(client,
             fmt::format("the broker has disconnected: {}", mqtt::name(disconnect->reason)));
    }
}

void Fleet::on_connack(std::uint32_t index, const mqtt::ConnackView& connack) {
    Client& client = clients_[index];
    if (client.phase != Phase::greeting) {
        fail(index, "CONNACK out of turn");
    } else if (mqtt::is_failure(connack.reason)) {
        fail(index, fmt::format("CONNECT refused: {}", mqtt::name(connack.reason)));
    } else if (client.use == SessionUse::resume && !connack.session_present) {
        fail(index, "the broker has lost the session");
    } else {
        client.receive_maximum = connack.properties.receive_maximum();
        subscribe(index);
    }
}

void Fleet::on_suback(std::uint32_t index, const mqtt::SubackView& suback) {
    if (clients_[index].phase != Phase::subscribing) {
        fail(index, "SUBACK out of turn");
        return;
    }
    for (std::size_t i = 0; i < suback.reasons.size(); ++i) {
        if (mqtt::is_failure(suback.reasons[i])) {
            fail(index, fmt::format("SUBSCRIBE refused: {}", mqtt::name(suback.reasons[i])));
            return;
        }
    }
    become_ready(index);
}

}  // namespace stentor::bench
