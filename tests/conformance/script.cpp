#include "tests/conformance/script.hpp"

#include <algorithm>
#include <utility>

namespace stentor::conformance {
namespace {

class Failure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
    std::string out;
    for (const std::string& part : parts) out += (out.empty() ? "" : std::string{separator}) + part;
    return out;
}

}  // namespace

// One client: its wire, the packets that have come, and what both sides have agreed on.
class Script::Connection {
  public:
    Connection(std::string name, Broker& broker, int level)
        : name_{std::move(name)}, broker_{broker}, wire_{broker.connect()}, level_{level} {}

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] int level() const { return level_; }
    [[nodiscard]] Wire& wire() { return *wire_; }
    [[nodiscard]] bool closed() const { return closed_; }
    /// CONNACK 0 has come, nobody has said DISCONNECT, and whole packets were sent.
    [[nodiscard]] bool live() const { return live_ && !closed_ && sent_part_.empty(); }
    [[nodiscard]] std::deque<Packet>& packets() { return packets_; }

    void send(std::string_view octets, bool bytewise) {
        if (bytewise) {
            for (std::size_t i = 0; i < octets.size(); ++i) wire_->send(octets.substr(i, 1));
        } else {
            wire_->send(octets);
        }
        note_sent(octets);
    }

    /// Takes what the wire has; false if that was nothing.
    bool receive() {
        if (closed_) return false;
        const std::optional<Octets> more = wire_->receive();
        if (!more) {
            closed_ = true;
            if (!received_part_.empty()) throw Failure{"closed within a packet"};
            return true;
        }
        received_part_ += *more;
        while (const auto size = whole_packet(received_part_)) {
            note_received(received_part_.substr(0, *size));
            received_part_.erase(0, *size);
        }
        return !more->empty();
    }

    void drop() { wire_->drop(); }

  private:
    static std::optional<std::size_t> whole_packet(const Octets& octets) {
        const auto size = packet_size(octets);
        return size && *size <= octets.size() ? size : std::nullopt;
    }

    void note_sent(std::string_view octets) try {
        sent_part_ += octets;
        while (const auto size = whole_packet(sent_part_)) {
            if (const auto seen = glance_at_client(level_, sent_part_.substr(0, *size))) {
                note_sent_packet(*seen);
            }
            sent_part_.erase(0, *size);
        }
    } catch (const BadPacket&) {
        // Malformed on purpose; it never becomes whole again.
    }

    void note_sent_packet(const Packet& packet) {
        if (packet.type == Type::disconnect) live_ = false;
        if (packet.type == Type::connect) {
            level_ = packet.level;
            const auto number = [&](std::string_view name, std::uint32_t otherwise) {
                const Property* property = packet.find(name);
                return property == nullptr ? otherwise : property->number;
            };
            // 0 is forbidden, and then says nothing.
            if (const auto most = number("maximum_packet", 0); most > 0) packet_max_ = most;
            if (const auto most = number("receive_maximum", 0); most > 0) receive_max_ = most;
            alias_max_ = number("topic_alias_maximum", alias_max_);
            wants_reasons_ = number("request_problem", 1) != 0;
        }
        const bool done = packet.type == Type::puback || packet.type == Type::pubcomp ||
                          (packet.type == Type::pubrec && packet.reason >= 0x80);
        if (done) in_flight_.erase(packet.packet_id);
    }

    void note_received(const Octets& octets) {
        if (octets.size() > packet_max_) {
            throw Failure{"above the client's Maximum Packet Size: " + hex(octets)};
        }
        Packet packet = decode_from_broker(level_, octets);
        if (packet.type == Type::connack) {
            if (connack_seen_) throw Failure{"a second CONNACK"};
            connack_seen_ = true;
            live_ = packet.reason == 0;
        } else if (!live_ && !connack_seen_ && packet.type != Type::auth) {
            throw Failure{"before CONNACK: " + describe(packet)};
        }
        if (packet.type == Type::disconnect) live_ = false;
        if (!wants_reasons_) note_reasons(packet);
        if (packet.type == Type::publish) note_publish(packet);
        broker_.after_receive(name_, packet);
        packets_.push_back(std::move(packet));
    }

    // [MQTT-3.1.2-29]
    static void note_reasons(const Packet& packet) {
        const bool may = packet.type == Type::publish || packet.type == Type::connack ||
                         packet.type == Type::disconnect;
        const bool does =
            packet.find("reason_string") != nullptr || packet.find("user_property") != nullptr;
        if (does && !may) {
            throw Failure{"reasons for a client that wants none: " + describe(packet)};
        }
    }

    void note_publish(Packet& packet) {
        resolve_alias(packet);
        if (packet.qos == 0) return;
        if (!in_flight_.insert(packet.packet_id).second) {
            throw Failure{"an identifier in use: " + describe(packet)};
        }
        if (in_flight_.size() > receive_max_) {
            throw Failure{"above the client's Receive Maximum: " + describe(packet)};
        }
    }

    void resolve_alias(Packet& packet) {
        const Property* alias = packet.find("topic_alias");
        if (alias == nullptr) return;
        if (alias->number > alias_max_) {
            throw Failure{"above the client's Topic Alias Maximum: " + describe(packet)};
        }
        if (!packet.topic.empty()) {
            aliases_[alias->number] = packet.topic;
            return;
        }
        const auto known = aliases_.find(alias->number);
        if (known == aliases_.end()) throw Failure{"an unknown alias: " + describe(packet)};
        packet.topic = known->second;
    }

    std::string name_;
    Broker& broker_;
    std::unique_ptr<Wire> wire_;
    int level_;
    bool closed_ = false;
    bool live_ = false;
    bool connack_seen_ = false;
    Octets sent_part_;
    Octets received_part_;
    std::deque<Packet> packets_;
    std::uint32_t packet_max_ = 0xffffffff;
    std::uint32_t receive_max_ = 65535;
    std::uint32_t alias_max_ = 0;
    bool wants_reasons_ = true;
    std::set<int> in_flight_;
    std::map<std::uint32_t, Octets> aliases_;
};

Script::Script(const Row& row, Broker& broker) : row_{row}, broker_{broker} {}
Script::~Script() = default;

void Script::run() {
    const auto failed = [&](int line, std::string_view step, const std::exception& error) {
        return StepFailed{"tests/conformance/" + row_.table + ".txt:" + std::to_string(line) +
                          ": " + std::string{step} + "\n  " + error.what()};
    };
    for (const Step& step : row_.steps) {
        try {
            run_step(step);
        } catch (const std::exception& error) {
            throw failed(step.line, step.text, error);
        }
    }
    std::vector<std::string> left;
    for (const auto& [name, one] : connections_) {
        if (one->live()) left.push_back(name);
    }
    for (const std::string& name : left) {
        try {
            expect_nothing(name);
        } catch (const std::exception& error) {
            throw failed(row_.line, name + ". nothing, at the end of the row", error);
        }
    }
}

void Script::run_step(const Step& step) {
    switch (step.kind) {
        case Step::Kind::send:
        case Step::Kind::send_bytewise:
            return send(step.clients[0], step);
        case Step::Kind::complete:
            for (const std::string& packet : step.packets) complete(step.clients[0], packet);
            return;
        case Step::Kind::expect:
        case Step::Kind::expect_acked:
            return expect(step);
        case Step::Kind::expect_any_order:
            return expect_any_order(step);
        case Step::Kind::close:
            return expect_close(existing(step.clients[0]));
        case Step::Kind::nothing:
            return expect_nothing(step.clients[0]);
        case Step::Kind::open:
            (void)connection(step.clients[0]);
            return;
        case Step::Kind::drop:
            existing(step.clients[0]).drop();
            connections_.erase(step.clients[0]);
            return;
        case Step::Kind::advance:
            return broker_.advance(step.by);
        case Step::Kind::stop:
            return broker_.stop();
    }
}

Script::Connection& Script::connection(const std::string& client) {
    auto& slot = connections_[client];
    if (!slot || slot->closed()) {
        slot = std::make_unique<Connection>(client, broker_, row_.level);
    }
    return *slot;
}

Script::Connection& Script::existing(const std::string& client) {
    const auto found = connections_.find(client);
    if (found == connections_.end()) throw Failure{client + " is not connected"};
    return *found->second;
}

Octets Script::bytes_of(PacketText packet, const Connection& to) {
    broker_.before_send(to.name(), packet);
    return assemble(packet, to.level(), to.name(), variables_);
}

void Script::send(const std::string& client, const Step& step) {
    Connection& to = connection(client);
    Octets octets;
    for (const std::string& packet : step.packets) {
        octets += bytes_of(parse_packet(packet), to);
    }
    to.send(octets, step.kind == Step::Kind::send_bytewise);
}

void Script::complete(const std::string& client, std::string_view text) {
    Connection& to = connection(client);
    const PacketText packet = parse_packet(text);
    to.send(bytes_of(packet, to), false);
    const Field* id = packet.find("pid");
    const std::string pid = id == nullptr ? "1" : id->value;
    std::vector<std::string> reasons;
    if (packet.name == "CONNECT") {
        take_expected(to, "CONNACK");
    } else if (packet.name == "SUBSCRIBE") {
        for (const Field& field : packet.fields) {
            if (field.key == "f") reasons.emplace_back("0");
            if (field.key == "q") reasons.back() = field.value;
        }
        take_expected(to, "SUBACK pid=" + pid + " rc=" + joined(reasons, ","));
    } else if (packet.name == "UNSUBSCRIBE") {
        for (const Field& field : packet.fields) {
            if (field.key == "f" && to.level() == 5) reasons.emplace_back("0");
        }
        const std::string rc = reasons.empty() ? "" : " rc=" + joined(reasons, ",");
        take_expected(to, "UNSUBACK pid=" + pid + rc);
    } else if (packet.name == "PUBLISH") {
        complete_publish(to, packet);
    } else if (packet.name == "PINGREQ") {
        take_expected(to, "PINGRESP");
    } else if (packet.name == "DISCONNECT") {
        expect_close(to);
    } else {
        throw Failure{"there is no usual answer to " + packet.name};
    }
}

void Script::complete_publish(Connection& to, const PacketText& packet) {
    const Field* qos = packet.find("q");
    const Field* id = packet.find("pid");
    const std::string pid = " pid=" + (id == nullptr ? "1" : id->value);
    if (qos == nullptr || qos->value == "0") {
        if (!ping(to)) throw Failure{"the broker has closed"};
    } else if (qos->value == "1") {
        take_expected(to, "PUBACK rc=0|0x10" + pid);
    } else {
        take_expected(to, "PUBREC rc=0|0x10" + pid);
        to.send(bytes_of(parse_packet("PUBREL" + pid), to), false);
        take_expected(to, "PUBCOMP" + pid);
    }
}

void Script::wait_for_more(const std::vector<Connection*>& from) {
    for (bool waited = false;; waited = true) {
        bool any = false;
        for (Connection* one : from) any = one->receive() || any;
        if (any) return;
        if (waited) throw Failure{"nothing more came"};
        std::vector<Wire*> wires;
        for (Connection* one : from) {
            if (!one->closed()) wires.push_back(&one->wire());
        }
        if (wires.empty()) throw Failure{"the broker has closed"};
        if (!broker_.wait(wires)) throw Failure{"nothing came"};
    }
}

Packet Script::take(Connection& from) {
    return take_where(from, [](const Packet&) { return true; });
}

Packet Script::take_where(Connection& from, const std::function<bool(const Packet&)>& wanted) {
    while (true) {
        auto& packets = from.packets();
        const auto found = std::ranges::find_if(packets, wanted);
        if (found != packets.end()) {
            Packet packet = std::move(*found);
            packets.erase(found);
            return packet;
        }
        wait_for_more({&from});
    }
}

Packet Script::take_expected(Connection& from, std::string_view text) {
    Packet packet = take(from);
    const std::string why = mismatch(parse_packet(text), packet, variables_);
    if (!why.empty()) {
        throw Failure{why + "\n  expected " + std::string{text} + "\n  received " +
                      describe(packet) + "\n  bytes    " + hex(packet.raw)};
    }
    return packet;
}

void Script::expect(const Step& step) {
    std::vector<Connection*> from;
    for (const std::string& client : step.clients) from.push_back(&existing(client));
    Connection* source = nullptr;
    while (true) {
        const auto found = std::ranges::find_if(
            from, [](Connection* one) { return !one->packets().empty() || one->closed(); });
        if (found != from.end()) {
            source = *found;
            break;
        }
        wait_for_more(from);
    }
    std::string reasons;
    for (const std::string& alternative : step.packets) {
        const PacketText expected = parse_packet(alternative);
        if (source->packets().empty()) {
            if (expected.name == "CLOSE") return;
            reasons = "the broker has closed";
            continue;
        }
        const Packet& packet = source->packets().front();
        const std::string why = mismatch(expected, packet, variables_);
        if (why.empty()) {
            const Packet taken = packet;
            source->packets().pop_front();
            if (step.kind == Step::Kind::expect_acked) acknowledge(*source, taken);
            return;
        }
        reasons = why + "\n  received " + describe(packet) + "\n  bytes    " + hex(packet.raw);
    }
    throw Failure{reasons};
}

void Script::acknowledge(Connection& to, const Packet& publish) {
    if (publish.type != Type::publish || publish.qos == 0) return;
    const std::string pid = " pid=" + std::to_string(publish.packet_id);
    const auto say = [&](const std::string& text) {
        to.send(bytes_of(parse_packet(text + pid), to), false);
    };
    if (publish.qos == 1) return say("PUBACK");
    say("PUBREC");
    // Other messages may be under way already.
    (void)take_where(to, [&](const Packet& packet) {
        return packet.type == Type::pubrel && packet.packet_id == publish.packet_id;
    });
    say("PUBCOMP");
}

void Script::expect_any_order(const Step& step) {
    Connection& from = existing(step.clients[0]);
    std::vector<std::string> left = step.packets;
    while (!left.empty()) {
        const Packet packet = take(from);
        const auto found = std::ranges::find_if(left, [&](const std::string& text) {
            return mismatch(parse_packet(text), packet, variables_).empty();
        });
        if (found == left.end()) {
            throw Failure{"none of " + joined(left, " ;; ") + "\n  received " + describe(packet) +
                          "\n  bytes    " + hex(packet.raw)};
        }
        left.erase(found);
    }
}

void Script::expect_close(Connection& from) {
    while (!from.closed() && from.packets().empty()) wait_for_more({&from});
    if (!from.packets().empty()) {
        const Packet& packet = from.packets().front();
        throw Failure{"not closed\n  received " + describe(packet) + "\n  bytes    " +
                      hex(packet.raw)};
    }
}

// False when the broker has closed. Other packets stay where they are.
bool Script::ping(Connection& to) {
    static constexpr std::string_view kPingreq{"\xc0\x00", 2};
    to.send(kPingreq, false);
    while (true) {
        auto& packets = to.packets();
        const auto found = std::ranges::find(packets, Type::pingresp, &Packet::type);
        if (found != packets.end()) {
            packets.erase(found);
            return true;
        }
        if (to.closed()) return false;
        wait_for_more({&to});
    }
}

void Script::expect_nothing(const std::string& client) {
    broker_.settle();
    for (const auto& [name, other] : connections_) {
        if (name != client && other->live()) (void)ping(*other);
    }
    Connection& from = existing(client);
    const bool up = ping(from);
    if (!from.packets().empty()) {
        const Packet& packet = from.packets().front();
        throw Failure{"something came\n  received " + describe(packet) + "\n  bytes    " +
                      hex(packet.raw)};
    }
    if (!up) throw Failure{"the broker has closed"};
}

}  // namespace stentor::conformance
