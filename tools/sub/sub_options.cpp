#include "tools/sub/sub_options.hpp"

#include "protocol/codec/utf8.hpp"
#include "protocol/topic/validate.hpp"

#include <fmt/format.h>

#include <utility>

namespace stentor::tools {
namespace {

constexpr std::string_view kIntroduction =
    "Subscribes to topics of an MQTT broker and prints what arrives.\n"
    "\n"
    "Usage: stentor sub -t FILTER [-t FILTER...] [options]\n"
    "\n"
    "  stentor sub -t 'house/#' -v\n"
    "  stentor sub -h example.org -t orders -q 1 -C 1 -W 10\n";

constexpr std::string_view kEpilogue =
    "\n"
    "FORMAT, one message at a time:\n"
    "  %t topic  %p payload  %x %X in hex  %l its length  %q QoS  %r retained\n"
    "  %m identifier  %A topic alias  %C content type  %D correlation data\n"
    "  %E expiry  %F format indicator  %P user properties  %R response topic\n"
    "  %S subscription identifiers  %I ISO 8601 time  %U Unix time\n"
    "  %j JSON  %J JSON with the payload as JSON  %% percent sign\n"
    "  %-20t %08l %.10t: left, zeros, width, longest\n"
    "  @X what strftime makes of %X  @N nanoseconds  @@ at sign\n"
    "  \\\\ \\0 \\a \\e \\n \\r \\t \\v\n"
    "\n"
    "Letters and meaning are those of mosquitto_sub.\n"
    "Exit codes: 0 ended as asked (-C, -E, signal), 1 failed, 2 usage, 27 -W ran out.\n";

Usage take_percentage(double& percent, ArgumentValues& values) {
    STENTOR_TRY(const auto text, values.next("a percentage"));
    STENTOR_TRY(percent, parse_seconds(text));
    if (percent < 0.1 || percent > 100) {
        return UsageError{fmt::format("'{}' is not between 0.1 and 100", text)};
    }
    return {};
}

ArgumentParser make_parser(SubOptions& o) {
    std::vector<OptionGroup> groups{
        {"Messages",
         {{"-t", "--topic", "FILTER", "subscribe to it; may be repeated", collect(o.topics)},
          {"-q", "--qos", "0|1|2", "highest quality of service (0)", take_number(o.qos, 0, 2)},
          {"-C",
           "",
           "COUNT",
           "end after this many messages",
           take_number(o.count, 1, 4'294'967'295)},
          {"-W",
           "",
           "SECONDS",
           "end this long after the start, with exit code 27",
           take_seconds(o.timeout_seconds)},
          {"-E", "", "", "end once the subscriptions are made", set(o.exit_when_subscribed)},
          {"-T",
           "--filter-out",
           "FILTER",
           "do not print what matches; may be repeated",
           collect(o.filtered_out)},
          {"-U",
           "--unsubscribe",
           "FILTER",
           "unsubscribe, after subscribing; may be repeated",
           collect(o.unsubscribe)},
          {"-R", "", "", "do not print retained messages", set(o.no_retained)},
          {"",
           "--retained-only",
           "",
           "print retained messages only, and end at the first other one",
           set(o.retained_only)},
          {"",
           "--remove-retained",
           "",
           "delete the retained messages that arrive (not those -T matches)",
           set(o.remove_retained)},
          {"",
           "--retain-as-published",
           "",
           "have the retain flag as the publisher set it",
           set(o.retain_as_published)},
          {"",
           "--random-filter",
           "PERCENT",
           "print only so many of the messages, chosen at random",
           [&o](ArgumentValues& values) {
               return take_percentage(o.random_filter_percent, values);
           }}}},
        {"Output",
         {{"-v", "--verbose", "", "print topic and payload", set(o.verbose)},
          {"-F", "", "FORMAT", "print this, see below", take(o.format_text)},
          {"",
           "--json",
           "",
           "print one JSON object per message; payloads that are no text in base64",
           set(o.json)},
          {"", "--pretty", "", "JSON over several lines", set(o.pretty)},
          {"-N", "", "", "no line end after each message", set(o.no_line_end)}}}};
    for (auto& group : o.connection.groups()) groups.push_back(std::move(group));
    return ArgumentParser{std::move(groups), ConnectionOptions::refused()};
}

/// Whether it is what comes before the filter that is wrong with "$share/...".
bool lacks_group_or_filter(std::string_view text) {
    constexpr std::string_view kPrefix = "$share/";
    if (!text.starts_with(kPrefix)) return false;
    text.remove_prefix(kPrefix.size());
    const std::size_t slash = text.find('/');
    return slash == std::string_view::npos || slash == 0 || slash + 1 == text.size() ||
           text.substr(0, slash).find_first_of("+#") != std::string_view::npos;
}

Usage check_filter(std::string_view option, const std::string& text) {
    const auto parsed = mqtt::parse_subscription_filter(text);
    if (mqtt::is_mqtt_text(text) && parsed.check != mqtt::TopicCheck::invalid) return {};
    return UsageError{fmt::format("{}: '{}' is not a topic filter", option, text),
                      lacks_group_or_filter(text)
                          ? "a shared subscription is $share/GROUP/FILTER, the group's name "
                            "without '+' and '#': $share/workers/jobs/#"
                          : "'+' stands for a whole level, '#' for all at the end: a/+/c, a/#"};
}

Usage choose_format(SubOptions& options) {
    const auto style = options.pretty ? JsonStyle::pretty : JsonStyle::compact;
    if (options.format_text && options.json) {
        return UsageError{"-F and --json exclude each other", "%j in a format is JSON too"};
    }
    if (options.format_text) {
        auto parsed = OutputFormat::parse(*options.format_text, style);
        if (!parsed) {
            auto error = std::move(parsed).error();
            error.what = "-F: " + error.what;
            return error;
        }
        options.format = *std::move(parsed);
    } else if (options.json) {
        options.format = OutputFormat::json(style);
    } else if (options.verbose) {
        options.format = OutputFormat::topic_and_payload();
    }
    return {};
}

}  // namespace

Usage SubOptions::parse(std::span<const std::string_view> words,
                        SubOptions& options,
                        std::string& help) {
    const auto parser = make_parser(options);
    STENTOR_TRY_VOID(parser.parse(words));
    if (options.connection.help) {
        help = std::string{kIntroduction} + parser.help() + std::string{kEpilogue};
        return {};
    }
    if (!options.connection.url.empty()) {
        STENTOR_TRY(auto url, parse_broker_url(options.connection.url));
        if (url.topic) options.topics.push_back(*std::move(url.topic));
    }
    for (const auto& topic : options.topics) STENTOR_TRY_VOID(check_filter("-t", topic));
    for (const auto& topic : options.filtered_out) STENTOR_TRY_VOID(check_filter("-T", topic));
    for (const auto& topic : options.unsubscribe) STENTOR_TRY_VOID(check_filter("-U", topic));
    if (options.topics.empty() && options.unsubscribe.empty()) {
        return UsageError{"no topic to subscribe to", "-t FILTER names one; -t '#' takes all"};
    }
    if (options.no_retained && options.retained_only) {
        return UsageError{"-R and --retained-only exclude each other"};
    }
    if (options.retain_as_published &&
        options.connection.version == mqtt::ProtocolVersion::v3_1_1) {
        return UsageError{"--retain-as-published needs MQTT 5"};
    }
    return choose_format(options);
}

}  // namespace stentor::tools
