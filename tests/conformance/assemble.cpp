#include "tests/conformance/packet_text.hpp"

namespace stentor::conformance {
namespace {

[[noreturn]] void fail(const std::string& why) { throw BadText{why}; }

// Hands out the fields of a packet and notices those nobody asked for.
class Fields {
  public:
    Fields(const PacketText& packet, const Variables& variables)
        : packet_{packet}, variables_{variables}, used_(packet.fields.size(), false) {}

    const Field* find(std::string_view key) {
        const Field* field = packet_.find(key);
        if (field != nullptr) use(*field);
        return field;
    }
    std::uint32_t number(std::string_view key, std::uint32_t otherwise) {
        const Field* field = find(key);
        return field == nullptr ? otherwise : number_of(*field, variables_);
    }
    Octets octets(std::string_view key, std::string_view otherwise) {
        const Field* field = find(key);
        return field == nullptr ? Octets{otherwise} : octets_of(*field, variables_);
    }
    // All properties in the order they are written, `prefix` before their names, without length.
    Octets properties(std::string_view prefix) {
        Octets out;
        for (const Field& field : packet_.fields) {
            if (!field.key.starts_with(prefix)) continue;
            const std::string_view name = std::string_view{field.key}.substr(prefix.size());
            const bool delay = !prefix.empty() && name == "delay";
            const auto* kind = property_named(delay ? "will_delay" : name);
            if (kind == nullptr) continue;
            use(field);
            put_property(out, *kind, field);
        }
        return out;
    }
    const std::vector<Field>& all() const { return packet_.fields; }
    void use(const Field& field) {
        used_[static_cast<std::size_t>(&field - packet_.fields.data())] = true;
    }
    std::uint32_t number(const Field& field) {
        use(field);
        return number_of(field, variables_);
    }
    Octets octets(const Field& field) {
        use(field);
        return octets_of(field, variables_);
    }
    void done() const {
        for (std::size_t i = 0; i < used_.size(); ++i) {
            if (!used_[i]) fail(packet_.name + " has no field " + packet_.fields[i].key);
        }
    }

  private:
    void put_property(Octets& out, const PropertyKind& kind, const Field& field) const {
        out += static_cast<char>(kind.id);
        switch (kind.form) {
            case PropertyForm::byte:
                out += static_cast<char>(number_of(field, variables_));
                break;
            case PropertyForm::u16:
                put_u16(out, number_of(field, variables_));
                break;
            case PropertyForm::u32:
                put_u32(out, number_of(field, variables_));
                break;
            case PropertyForm::varint:
                put_varint(out, number_of(field, variables_));
                break;
            case PropertyForm::text:
            case PropertyForm::binary:
                put_text(out, octets_of(field, variables_));
                break;
            case PropertyForm::pair: {
                const Octets pair = octets_of(field, variables_);
                const auto colon = pair.find(':');
                if (colon == Octets::npos) fail("user_property=name:value");
                put_text(out, pair.substr(0, colon));
                put_text(out, pair.substr(colon + 1));
            }
        }
    }

    const PacketText& packet_;
    const Variables& variables_;
    std::vector<bool> used_;
};

void put_properties(Octets& out, Fields& fields, int level, std::string_view prefix = "") {
    const Octets block = fields.properties(prefix);
    if (level == 5) {
        put_varint(out, static_cast<std::uint32_t>(block.size()));
        out += block;
    } else if (!block.empty()) {
        fail("3.1.1 has no properties");
    }
}

Octets connect_body(Fields& fields, int level, std::string_view client) {
    const Field* will = fields.find("will");
    const Field* user = fields.find("user");
    const Field* pass = fields.find("pass");
    std::uint32_t flags = fields.number("clean", 1) << 1U;
    if (will != nullptr) {
        flags |= 4U | fields.number("will.q", 0) << 3U | fields.number("will.r", 0) << 5U;
    }
    if (user != nullptr) flags |= 0x80U;
    if (pass != nullptr) flags |= 0x40U;
    Octets out;
    put_text(out, fields.octets("name", "MQTT"));
    out += static_cast<char>(fields.number("level", static_cast<std::uint32_t>(level)));
    out += static_cast<char>(fields.number("flags", flags));
    put_u16(out, fields.number("ka", 0));
    put_properties(out, fields, level);
    put_text(out, fields.octets("id", client));
    if (will != nullptr) {
        put_properties(out, fields, level, "will.");
        put_text(out, fields.octets(*will));
        put_text(out, fields.octets("will.p", ""));
    }
    if (user != nullptr) put_text(out, fields.octets(*user));
    if (pass != nullptr) put_text(out, fields.octets(*pass));
    return out;
}

Octets publish_body(Fields& fields, int level, std::uint32_t qos) {
    Octets out;
    put_text(out, fields.octets("t", ""));
    if (qos > 0) put_u16(out, fields.number("pid", 1));
    put_properties(out, fields, level);
    out += fields.octets("p", "");
    return out;
}

// Each `f` begins a filter; q, nl, rap, rh and opt behind it are its options.
Octets subscribe_body(Fields& fields, int level) {
    Octets out;
    put_u16(out, fields.number("pid", 1));
    put_properties(out, fields, level);
    bool first = true;
    std::uint32_t options = 0;
    for (const Field& field : fields.all()) {
        if (field.key == "f") {
            if (!first) out += static_cast<char>(options);
            first = false;
            options = 0;
            put_text(out, fields.octets(field));
        } else if (field.key == "q" || field.key == "opt") {
            options |= fields.number(field);
        } else if (field.key == "nl") {
            options |= fields.number(field) << 2U;
        } else if (field.key == "rap") {
            options |= fields.number(field) << 3U;
        } else if (field.key == "rh") {
            options |= fields.number(field) << 4U;
        }
    }
    if (!first) out += static_cast<char>(options);
    return out;
}

Octets unsubscribe_body(Fields& fields, int level) {
    Octets out;
    put_u16(out, fields.number("pid", 1));
    put_properties(out, fields, level);
    for (const Field& field : fields.all()) {
        if (field.key == "f") put_text(out, fields.octets(field));
    }
    return out;
}

// Reason and properties where they cannot be left out, or where `form` asks for them.
void put_reason(Octets& out, Fields& fields, int level) {
    const std::uint32_t reason = fields.number("rc", 0);
    const std::string form = fields.octets("form", "");
    const Octets block = fields.properties("");
    if (level != 5) {
        if (reason != 0 || !block.empty()) fail("3.1.1 has no reason codes here");
        return;
    }
    if (reason == 0 && block.empty() && form.empty()) return;
    out += static_cast<char>(reason);
    if (block.empty() && form != "full") return;
    put_varint(out, static_cast<std::uint32_t>(block.size()));
    out += block;
}

}  // namespace

Octets assemble(const PacketText& packet,
                int level,
                std::string_view client,
                const Variables& variables) {
    if (packet.name == "x") return packet.raw;
    const auto type = type_named(packet.name);
    if (!type) fail(packet.name + " cannot be sent");
    Fields fields{packet, variables};
    level = static_cast<int>(fields.number("v", static_cast<std::uint32_t>(level)));
    unsigned flags = 0;
    Octets body;
    switch (*type) {
        case Type::connect:
            body = connect_body(fields, level, client);
            break;
        case Type::publish: {
            const std::uint32_t qos = fields.number("q", 0);
            flags = fields.number("dup", 0) << 3U | qos << 1U | fields.number("r", 0);
            body = publish_body(fields, level, qos);
            break;
        }
        case Type::puback:
        case Type::pubrec:
        case Type::pubrel:
        case Type::pubcomp:
            if (*type == Type::pubrel) flags = 2;
            put_u16(body, fields.number("pid", 1));
            put_reason(body, fields, level);
            break;
        case Type::subscribe:
            flags = 2;
            body = subscribe_body(fields, level);
            break;
        case Type::unsubscribe:
            flags = 2;
            body = unsubscribe_body(fields, level);
            break;
        case Type::pingreq:
            break;
        case Type::disconnect:
        case Type::auth:
            put_reason(body, fields, level);
            break;
        default:
            fail("clients do not send " + packet.name + "; use x for it");
    }
    fields.done();
    Octets out(1, static_cast<char>(static_cast<unsigned>(*type) << 4U | flags));
    put_varint(out, static_cast<std::uint32_t>(body.size()));
    return out + body;
}

}  // namespace stentor::conformance
