#pragma once
// The one table of configuration keys. Parsing, environment variables, --set, "did you mean", the
// defaults, what a reload changes and docs/configuration.md all come from it: a key that is not
// here does not exist. Immutable after start-up; any thread.

#include "base/result.hpp"
#include "server/config/options.hpp"
#include "server/config/units.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace stentor::config {

enum class Kind : std::uint8_t { text, count, size, duration, boolean, choice, list, url };

/// When a changed value takes effect.
enum class Applies : std::uint8_t { at_reload, at_restart };

/// Whether this build acts on the key. A planned one may be written down with its default only:
/// accepting more would be a promise that nobody keeps.
enum class Status : std::uint8_t { in_effect, planned };

/// Where a value goes: keys of [[listener]] look at `listener` only, all others at `options` only.
struct Target {
    Options& options;
    ListenerOptions& listener;
};

template <class T>
using Accessor = T& (*)(Target);

/// An enumeration without its type: values are indices into Key::choices.
struct ChoiceAccessor {
    std::uint8_t (*get)(Target);
    void (*set)(Target, std::uint8_t);
};

using Field = std::variant<Accessor<std::string>,
                           Accessor<std::uint16_t>,
                           Accessor<std::uint32_t>,
                           Accessor<std::uint64_t>,
                           Accessor<Milliseconds>,
                           Accessor<bool>,
                           Accessor<std::vector<std::string>>,
                           Accessor<ListenUrl>,
                           ChoiceAccessor>;

struct Key {
    std::string_view path;  // "limits.packet_bytes_max"; "listener.url" for [[listener]]
    Kind kind;
    Field field;
    std::uint64_t min = 0;  // count: the number, size: bytes, duration: milliseconds
    std::uint64_t max = 0;
    std::vector<std::string_view> choices = {};                     // of Kind::choice
    Result<void, ValueError> (*check)(std::string_view) = nullptr;  // of text, of elements
    Applies applies = Applies::at_restart;
    Status status = Status::in_effect;
    std::string_view description = {};

    /// "limits" of "limits.packet_bytes_max", "auth.jwt" of "auth.jwt.issuer".
    [[nodiscard]] std::string_view section() const noexcept;
    [[nodiscard]] std::string_view name() const noexcept;
    [[nodiscard]] bool of_listener() const noexcept;
};

struct Section {
    std::string_view path;  // "limits", "auth.jwt", "listener.tls"
    std::string_view description;
};

/// In the order of the documentation; a section's keys stand together.
[[nodiscard]] const std::vector<Key>& keys();
[[nodiscard]] const std::vector<Section>& sections();

/// Nothing (null) if there is no such key.
[[nodiscard]] const Key* find_key(std::string_view path) noexcept;

/// What stands in a source before it is understood. `FromText` comes from the environment or
/// --set, where everything is text and lists are separated by commas.
struct FromText {
    std::string text;
};
struct OtherType {
    std::string_view name;  // "table", "date", ...
};
using RawValue = std::
    variant<std::string, std::int64_t, double, bool, std::vector<std::string>, FromText, OtherType>;

/// Understands `value` and puts it where the key says. On failure nothing has changed.
[[nodiscard]] Result<void, ValueError> assign(const Key& key, Target target, const RawValue& value);

/// The value as it would stand in the file: "\"1MiB\"", "100", "true", "[\"a\"]".
[[nodiscard]] std::string format_value(const Key& key, const Options& options);
[[nodiscard]] std::string format_value(const Key& key, const ListenerOptions& listener);
[[nodiscard]] std::string format_default(const Key& key);

/// What values a key takes, for people: "a size from 16B to 256MiB", "never, loopback or always".
[[nodiscard]] std::string describe_values(const Key& key);

}  // namespace stentor::config
