#pragma once
// -D COMMAND PROPERTY VALUE: MQTT 5.0 properties from the command line, a block per packet.
// Pure, start-up only.

#include "protocol/codec/properties.hpp"
#include "protocol/codec/property_writer.hpp"
#include "tools/client/arguments.hpp"

#include <string_view>

namespace stentor::tools {

class PropertyOptions {
  public:
    /// Takes command, property and value (for user-property: name and value). Fails when the packet
    /// does not have that property, has it already, or the value does not fit its type.
    [[nodiscard]] Usage add(ArgumentValues& values);

    [[nodiscard]] bool empty() const noexcept;

    mqtt::PropertyWriter connect;
    mqtt::PropertyWriter will;
    mqtt::PropertyWriter publish;
    mqtt::PropertyWriter subscribe;
    mqtt::PropertyWriter unsubscribe;
    mqtt::PropertyWriter disconnect;
};

/// "content-type": the specification's name in lower case with hyphens, a literal.
[[nodiscard]] std::string_view property_name(mqtt::Property id) noexcept;

}  // namespace stentor::tools
