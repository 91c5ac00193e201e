#include "tools/pub/pub_options.hpp"

#include "protocol/codec/utf8.hpp"
#include "protocol/topic/validate.hpp"

#include <fmt/format.h>

namespace stentor::tools {
namespace {

constexpr std::string_view kIntroduction =
    "Publishes messages to an MQTT broker.\n"
    "\n"
    "Usage: stentor pub -t TOPIC (-m TEXT | -f FILE | -l | -s | -n) [options]\n"
    "\n"
    "  stentor pub -t house/door -m open -q 1\n"
    "  tail -f log | stentor pub -h example.org -t logs -l\n";

constexpr std::string_view kEpilogue =
    "\n"
    "Letters and meaning are those of mosquitto_pub.\n"
    "Exit codes: 0 published (QoS 1 and 2: and acknowledged), 1 failed, 2 usage.\n";

ArgumentParser make_parser(PubOptions& o) {
    std::vector<OptionGroup> groups{
        {"Message",
         {{"-t", "--topic", "TOPIC", "the topic to publish on", take_once("-t", o.topic)},
          {"-m", "--message", "TEXT", "one message with this payload", take_once("-m", o.message)},
          {"-f",
           "--file",
           "FILE",
           "one message with the content of a file",
           take_once("-f", o.file)},
          {"-l",
           "--stdin-line",
           "",
           "one message for every line of stdin, sent as it comes; ends when all are acknowledged",
           set(o.stdin_lines)},
          {"-s", "--stdin-file", "", "one message with all of stdin", set(o.stdin_file)},
          {"-n", "--null-message", "", "one message without payload", set(o.null_message)},
          {"-q", "--qos", "0|1|2", "quality of service (0)", take_number(o.qos, 0, 2)},
          {"-r",
           "--retain",
           "",
           "keep the message as the topic's value; with -n, delete that",
           set(o.retain)},
          {"",
           "--repeat",
           "COUNT",
           "publish a single message this often (1)",
           take_number(o.repeat, 1, 4'294'967'295)},
          {"",
           "--repeat-delay",
           "SECONDS",
           "wait after each delivery before the next; fractions allowed (0)",
           take_seconds(o.repeat_delay_seconds)},
          {"",
           "--json",
           "",
           "print one JSON object per message with what the broker said",
           set(o.json)}}}};
    for (auto& group : o.connection.groups()) groups.push_back(std::move(group));
    return ArgumentParser{std::move(groups), ConnectionOptions::refused()};
}

Usage choose_source(PubOptions& options) {
    int given = 0;
    const auto take_if = [&](bool condition, PayloadSource source) {
        if (!condition) return;
        ++given;
        options.source = source;
    };
    take_if(options.message.has_value(), PayloadSource::text);
    take_if(!options.file.empty(), PayloadSource::file);
    take_if(options.null_message, PayloadSource::empty);
    take_if(options.stdin_file, PayloadSource::stdin_whole);
    take_if(options.stdin_lines, PayloadSource::stdin_lines);
    if (given == 0) {
        return UsageError{"nothing to publish", "-m TEXT, -f FILE, -l, -s or -n says what"};
    }
    if (given > 1) return UsageError{"-m, -f, -l, -s and -n exclude each other"};
    return {};
}

}  // namespace

Usage PubOptions::parse(std::span<const std::string_view> words,
                        PubOptions& options,
                        std::string& help) {
    const auto parser = make_parser(options);
    STENTOR_TRY_VOID(parser.parse(words));
    if (options.connection.help) {
        help = std::string{kIntroduction} + parser.help() + std::string{kEpilogue};
        return {};
    }
    STENTOR_TRY_VOID(choose_source(options));
    if (!options.topic && !options.connection.url.empty()) {
        STENTOR_TRY(auto url, parse_broker_url(options.connection.url));
        options.topic = std::move(url.topic);
    }
    if (!options.topic) return UsageError{"the topic is missing", "-t TOPIC names it"};
    if (!mqtt::is_mqtt_text(*options.topic) ||
        mqtt::check_topic_name(*options.topic) == mqtt::TopicCheck::invalid) {
        return UsageError{fmt::format("'{}' is not a topic name", *options.topic),
                          "topics are not empty and hold no '+' and no '#'"};
    }
    if (options.repeat > 1 && options.source == PayloadSource::stdin_lines) {
        return UsageError{"--repeat is for single messages, not for -l"};
    }
    return {};
}

}  // namespace stentor::tools
