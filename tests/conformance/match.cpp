#include "tests/conformance/packet_text.hpp"

#include <algorithm>

namespace stentor::conformance {
namespace {

[[noreturn]] void fail(const std::string& why) { throw BadText{why}; }

bool number_matches(std::string_view pattern, std::uint32_t actual) {
    if (pattern == "?") return true;
    for (std::size_t from = 0; from <= pattern.size();) {
        const auto bar = std::min(pattern.find('|', from), pattern.size());
        const std::string_view one = pattern.substr(from, bar - from);
        const auto dots = one.find("..");
        if (dots == std::string_view::npos) {
            if (parse_number(one) == actual) return true;
        } else if (parse_number(one.substr(0, dots)) <= actual &&
                   actual <= parse_number(one.substr(dots + 2))) {
            return true;
        }
        from = bar + 1;
    }
    return false;
}

bool bound_matches(const Field& field, const std::string& actual, Variables& variables) {
    return variables.try_emplace(field.value, actual).first->second == actual;
}

bool number_matches(const Field& field, std::uint32_t actual, Variables& variables) {
    if (is_variable(field)) return bound_matches(field, std::to_string(actual), variables);
    return number_matches(std::string_view{field.value}, actual);
}

bool octets_match(const Field& field, const Octets& actual, Variables& variables) {
    if (!field.quoted && field.value == "?") return true;
    if (is_variable(field)) return bound_matches(field, actual, variables);
    return octets_of(field, variables) == actual;
}

bool property_matches(const Field& field, const Property& property, Variables& variables) {
    switch (property.kind->form) {
        case PropertyForm::text:
        case PropertyForm::binary:
            return octets_match(field, property.text, variables);
        case PropertyForm::pair:
            return octets_match(field, property.text + ":" + property.second, variables);
        default:
            return number_matches(field, property.number, variables);
    }
}

// Properties of one kind: in order, subscription identifiers in any order.
bool kind_matches(const PropertyKind& kind,
                  const PacketText& expected,
                  const Packet& packet,
                  Variables& variables) {
    std::vector<const Property*> actual;
    for (const Property& property : packet.properties) {
        if (property.kind == &kind) actual.push_back(&property);
    }
    const bool any_order = kind.name == "subscription_id";
    for (const Field& field : expected.fields) {
        if (field.key != kind.name) continue;
        const auto found = std::ranges::find_if(actual, [&](const Property* property) {
            return property_matches(field, *property, variables);
        });
        if (found == actual.end() || (!any_order && found != actual.begin())) return false;
        actual.erase(found);
    }
    return actual.empty();
}

std::string mismatched_properties(const PacketText& expected,
                                  const Packet& packet,
                                  Variables& variables) {
    for (const Field& field : expected.fields) {
        const PropertyKind* kind = property_named(field.key);
        if (kind != nullptr && !kind_matches(*kind, expected, packet, variables)) return field.key;
    }
    const bool exact = expected.exact || packet.type == Type::publish;
    for (const Property& property : packet.properties) {
        std::string name{property.kind->name};
        if (std::ranges::find(expected.absent, name) != expected.absent.end()) return name;
        // Aliases towards the client are the broker's to use; the connection has resolved them.
        const bool free = packet.type == Type::publish && name == "topic_alias";
        if (exact && !free && expected.find(name) == nullptr) return name + " (not expected)";
    }
    return {};
}

bool reasons_match(std::string_view list, const std::vector<int>& actual) {
    std::size_t from = 0;
    for (const int reason : actual) {
        if (from > list.size()) return false;
        const auto comma = std::min(list.find(',', from), list.size());
        const std::string_view one = list.substr(from, comma - from);
        if (one.empty() || !number_matches(one, static_cast<std::uint32_t>(reason))) return false;
        from = comma + 1;
    }
    return from > list.size() || (actual.empty() && list.empty());
}

// Number fields with their defaults; packet identifiers are free unless given, except that
// acknowledgements default to 1 as requests do.
struct NumberField {
    std::string_view key;
    std::uint32_t actual;
    const char* otherwise;  // nullptr: free
};

std::vector<NumberField> number_fields(const Packet& packet) {
    const auto id = static_cast<std::uint32_t>(packet.packet_id);
    const auto reason = static_cast<std::uint32_t>(packet.reason);
    switch (packet.type) {
        case Type::connack:
            return {{"sp", packet.session_present ? 1U : 0U, "0"}, {"rc", reason, "0"}};
        case Type::publish:
            return {{"q", static_cast<std::uint32_t>(packet.qos), "0"},
                    {"dup", packet.dup ? 1U : 0U, "0"},
                    {"r", packet.retain ? 1U : 0U, "0"},
                    {"pid", id, nullptr}};
        case Type::puback:
        case Type::pubrec:
        case Type::pubrel:
        case Type::pubcomp:
            return {{"pid", id, "1"}, {"rc", reason, "0"}};
        case Type::suback:
        case Type::unsuback:
            return {{"pid", id, "1"}};
        case Type::disconnect:
        case Type::auth:
            return {{"rc", reason, "0"}};
        default:
            return {};
    }
}

void check_fields_known(const PacketText& expected, const Packet& packet) {
    for (const Field& field : expected.fields) {
        const auto numbers = number_fields(packet);
        const bool known =
            property_named(field.key) != nullptr ||
            std::ranges::find(numbers, field.key, &NumberField::key) != numbers.end() ||
            (packet.type == Type::publish && (field.key == "t" || field.key == "p")) ||
            (!packet.reasons.empty() && field.key == "rc");
        if (!known) fail("the broker's " + expected.name + " has no field " + field.key);
    }
}

std::string mismatched_field(const PacketText& expected,
                             const Packet& packet,
                             Variables& variables) {
    for (const NumberField& field : number_fields(packet)) {
        const Field* wanted = expected.find(field.key);
        if (wanted == nullptr && field.otherwise == nullptr) continue;
        const Field otherwise{std::string{field.key},
                              field.otherwise == nullptr ? "" : field.otherwise};
        if (!number_matches(wanted == nullptr ? otherwise : *wanted, field.actual, variables)) {
            return std::string{field.key};
        }
    }
    if (packet.type == Type::publish) {
        const Field* topic = expected.find("t");
        if (topic == nullptr) fail("an expected PUBLISH needs a topic");
        if (!octets_match(*topic, packet.topic, variables)) return "t";
        const Field none{"p", "", true};
        const Field* payload = expected.find("p");
        if (!octets_match(payload == nullptr ? none : *payload, packet.payload, variables)) {
            return "p";
        }
    }
    if (packet.type == Type::suback || packet.type == Type::unsuback) {
        const Field* list = expected.find("rc");
        if (!reasons_match(list == nullptr ? "" : list->value, packet.reasons)) return "rc";
    }
    return {};
}

}  // namespace

std::string mismatch(const PacketText& expected, const Packet& packet, Variables& variables) {
    if (expected.name == "x") return expected.raw == packet.raw ? "" : "the bytes differ";
    if (expected.name != type_name(packet.type)) return "another packet";
    check_fields_known(expected, packet);
    Variables bound = variables;
    std::string differing = mismatched_field(expected, packet, bound);
    if (differing.empty()) differing = mismatched_properties(expected, packet, bound);
    if (!differing.empty()) return differing + " differs";
    variables = std::move(bound);
    return {};
}

}  // namespace stentor::conformance
