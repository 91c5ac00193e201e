#include "server/config/reference.hpp"

#include "server/config/options_table.hpp"

#include <algorithm>
#include <string_view>

namespace stentor::config {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Written by `stentor check --print-reference`; edit server/config/options_table.cpp instead. -->

Stentor runs without a configuration file: it then listens on `mqtt://127.0.0.1:1883`, for this
machine only. `stentor serve -c FILE` reads one, `stentor check -c FILE` validates it and reports
every mistake with its line. [stentor.example.toml](stentor.example.toml) has all keys.

## Where values come from

Later ones win:

1. the defaults below;
2. the file (TOML);
3. environment variables `STENTOR_<SECTION>__<KEY>`: `STENTOR_LIMITS__PACKET_BYTES_MAX=2MiB`,
   `STENTOR_AUTH__ANONYMOUS=never`; listeners by number: `STENTOR_LISTENER__0__URL`; lists are
   separated by commas;
4. `--listen URL` on the command line (may be repeated; replaces all listeners);
5. `--set key.path=value`: `--set limits.receive_maximum=20`,
   `--set listener.0.max_connections=1000`;
6. `--data DIR`.

Unknown keys are errors, in every source. Relative paths start at the working directory, as in
Mosquitto and Caddy, not at the file: a service names them absolutely.

## Units

Sizes are whole numbers with a unit: `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000) or `KiB`, `MiB`,
`GiB`, `TiB` (of 1024). Durations are whole numbers with `ms`, `s`, `m`, `h`, `d`, `w`, the largest
first: `"90d"`, `"1h30m"`. A bare number is an error where a unit is needed, except 0.

## Listener URLs

`mqtt://host:port`, `mqtts://`, `ws://host:port/path`, `wss://`, `http://host:port`, `https://`,
`unix:///path`, and `auto://` for all but the last on one port, told apart by the first bytes; IPv6
addresses stand in brackets, port 0 picks a free port. `0.0.0.0` means all IPv4 addresses, `[::]`
all addresses; of a name's addresses the first IPv4 one is taken
(`localhost` is 127.0.0.1). A listener is
*loopback* if it is bound to 127.0.0.0/8, ::1 or a Unix socket.

## Reload

`SIGHUP` reads file and environment again. A file with a mistake changes nothing, and the log says
why. Keys marked "reload" change then, the others at the next start (the log names them).
)";

std::string heading(const Section& section) {
    const std::string name{section.path};
    if (section.path == "listener") return "[[listener]]";
    if (section.path.starts_with("listener.")) {
        return "[[listener]] " + name.substr(name.find('.') + 1);
    }
    return '[' + name + ']';
}

std::string code(std::string_view text) { return '`' + std::string{text} + '`'; }

std::string values_cell(const Key& key) {
    if (key.kind != Kind::choice) return describe_values(key);
    std::string out;
    for (const std::string_view choice : key.choices) {
        out.append(out.empty() ? "" : ", ").append(code(choice));
    }
    return out;
}

std::string key_row(const Key& key) {
    std::string row = "| " + code(key.name()) + " | " + values_cell(key) + " | " +
                      code(format_default(key)) + " | ";
    row += key.applies == Applies::at_reload ? "reload" : "restart";
    row += " | ";
    if (key.status == Status::planned) row += "*Not in this version yet.* ";
    return row.append(key.description) + " |\n";
}

/// The description, wrapped into comment lines.
std::string comment(std::string_view text) {
    constexpr std::size_t kWidth = 96;
    std::string out;
    std::string line;
    while (!text.empty()) {
        const auto blank = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, blank);
        if (!line.empty() && line.size() + 1 + word.size() > kWidth) {
            out += "# " + line + '\n';
            line.clear();
        }
        line.append(line.empty() ? "" : " ").append(word);
        text.remove_prefix(std::min(blank + 1, text.size()));
    }
    return line.empty() ? out : out + "# " + line + '\n';
}

bool has_keys_in_effect(const Section& section) {
    return std::any_of(keys().begin(), keys().end(), [&](const Key& key) {
        return key.section() == section.path && key.status == Status::in_effect;
    });
}

}  // namespace

std::string reference_markdown() {
    std::string out{kIntroduction};
    for (const Section& section : sections()) {
        out += "\n## " + heading(section) + "\n\n" + std::string{section.description} + "\n\n";
        out += "| key | values | default | changes at | |\n|---|---|---|---|---|\n";
        for (const Key& key : keys()) {
            if (key.section() == section.path) out += key_row(key);
        }
    }
    return out;
}

std::string example_toml() {
    std::string out =
        "# Stentor configuration. Everything here is a default: take away the # of what you "
        "change.\n"
        "# All keys are explained in docs/configuration.md; `stentor check -c FILE` finds "
        "mistakes.\n";
    for (const Section& section : sections()) {
        if (!has_keys_in_effect(section)) continue;
        const bool listener = section.path == "listener";
        out += '\n' + comment(section.description);
        // One listener is always there; the others are sections with nothing in them.
        // Below [[listener]] TOML takes [listener.tls] for the last listener's.
        out += (listener ? heading(section) : '[' + std::string{section.path} + ']') + '\n';
        for (const Key& key : keys()) {
            if (key.section() != section.path || key.status != Status::in_effect) continue;
            out += '\n' + comment(key.description);
            const bool needed = listener && key.name() == "url";
            out += needed ? "" : "#";
            out += std::string{key.name()} + " = " + format_default(key) + '\n';
        }
    }
    return out;
}

}  // namespace stentor::config
