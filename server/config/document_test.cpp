#include "server/config/document.hpp"

#include "server/config/reference.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace stentor::config {
namespace {

struct Read {
    Options options;
    Origins origins;
    std::vector<Diagnostic> errors;
};

Read read(std::string_view text) {
    Read result;
    read_document(text, "stentor.toml", result.options, result.origins, result.errors);
    return result;
}

std::string errors_of(std::string_view text) { return render(read(text).errors); }

TEST(Document, ReadsEverySection) {
    const Read result = read(R"(
[node]
name = "mill"
shards = 3
data_dir = ":memory:"
[[listener]]
url = "mqtt://0.0.0.0:1884"
max_connections = 10
connects_per_second_max = 20
[[listener]]
url = "unix:///tmp/stentor.sock"
[store]
acknowledge_after = "os"
max_age = "7d"
[limits]
packet_bytes_max = "256KiB"
keepalive_max = "5m"
[auth]
anonymous = "never"
password_file = "users"
[auth.jwt]
[http]
admins = ["password:root"]
[logging]
level = "debug"
format = "json"
)");
    EXPECT_EQ(render(result.errors), "");
    EXPECT_EQ(result.options.node.name, "mill");
    EXPECT_EQ(result.options.node.shards, 3U);
    EXPECT_TRUE(result.options.node.keeps_nothing());
    ASSERT_EQ(result.options.listeners.size(), 2U);
    EXPECT_EQ(to_string(result.options.listeners[0].url), "mqtt://0.0.0.0:1884");
    EXPECT_EQ(result.options.listeners[0].connections_max, 10U);
    EXPECT_EQ(result.options.listeners[0].connects_per_second_max, 20U);
    EXPECT_EQ(result.options.listeners[1].url.scheme, Scheme::unix_socket);
    EXPECT_EQ(result.options.store.acknowledge_after, AcknowledgeAfter::os);
    EXPECT_EQ(result.options.store.age_max, std::chrono::days{7});
    EXPECT_EQ(result.options.limits.packet_bytes_max, 256U * 1024);
    EXPECT_EQ(result.options.limits.keepalive_max, std::chrono::minutes{5});
    EXPECT_EQ(result.options.auth.anonymous, AnonymousPolicy::never);
    EXPECT_EQ(result.options.auth.password_file, "users");
    EXPECT_EQ(result.options.http.admins, std::vector<std::string>{"password:root"});
    EXPECT_EQ(result.options.logging.level, LogLevel::debug);
    EXPECT_EQ(result.options.logging.format, LogFormat::json);
    EXPECT_EQ(result.origins.at("listener.0.url").place.line, 7U);
}

TEST(Document, KeepsWhatAnEmptyFileDoesNotSay) {
    const Read result = read("# nothing\n");
    EXPECT_TRUE(result.errors.empty());
    ASSERT_EQ(result.options.listeners.size(), 1U);
    EXPECT_EQ(to_string(result.options.listeners[0].url), "mqtt://127.0.0.1:1883");
}

TEST(Document, UnderstandsTheExampleWithAndWithoutItsCommentSigns) {
    EXPECT_EQ(errors_of(example_toml()), "");
    std::string all;
    std::istringstream lines{example_toml()};
    for (std::string line; std::getline(lines, line);) {
        const bool key = line.starts_with('#') && !line.starts_with("# ");
        all += (key ? line.substr(1) : line) + '\n';
    }
    EXPECT_EQ(errors_of(all), "");
}

TEST(Document, TakesInlineTablesAndDottedKeys) {
    const Read result = read(R"(
listener = [{ url = "mqtt://127.0.0.1:1", tls = { client_certificate = "none" } }]
limits.receive_maximum = 7
)");
    EXPECT_EQ(render(result.errors), "");
    EXPECT_EQ(result.options.limits.receive_maximum, 7);
}

TEST(Document, PointsAtAnUnknownKeyAndNamesTheNearest) {
    EXPECT_EQ(errors_of("[limits]\npacket_byte_max = \"1MiB\"\n"),
              R"(stentor.toml:2:1: error: unknown key "packet_byte_max" in [limits]
   2 | packet_byte_max = "1MiB"
     | ^~~~~~~~~~~~~~~
     = did you mean "packet_bytes_max"?
)");
}

TEST(Document, SaysWhereAMisplacedKeyBelongs) {
    EXPECT_EQ(errors_of("[node]\nacl_file = \"acl\"\n"),
              R"(stentor.toml:2:1: error: unknown key "acl_file" in [node]
   2 | acl_file = "acl"
     | ^~~~~~~~
     = "acl_file" belongs into [auth]
)");
}

TEST(Document, KnowsItsSections) {
    EXPECT_EQ(errors_of("[limit]\n"), R"(stentor.toml:1:2: error: unknown section or key "limit"
   1 | [limit]
     |  ^~~~~
     = did you mean "limits"?
)");
    EXPECT_EQ(errors_of("auth = \"never\"\n"),
              R"(stentor.toml:1:1: error: auth is a section, not a value
   1 | auth = "never"
     | ^~~~
     = write [auth]
)");
    EXPECT_EQ(errors_of("[auth]\njwt = 1\n"),
              R"(stentor.toml:2:7: error: auth.jwt is a table, not a value
   2 | jwt = 1
     |       ^
     = jwt = { key = value, ... }
)");
}

TEST(Document, PointsAtABadValue) {
    EXPECT_EQ(errors_of("[limits]\n\tpacket_bytes_max = 1048576 # bytes\n"),
              "stentor.toml:2:21: error: limits.packet_bytes_max: the number 1048576 has no unit\n"
              "   2 | \tpacket_bytes_max = 1048576 # bytes\n"
              "     | \t                   ^~~~~~~\n"
              "     = write \"1048576B\" for bytes, or \"1048576KiB\", \"1048576MiB\"\n");
}

TEST(Document, CountsCharactersNotBytes) {
    EXPECT_EQ(errors_of("node = { data_dir = \"/größe\", shards = -1 }\n"),
              R"(stentor.toml:1:40: error: node.shards: -1 is out of range
   1 | node = { data_dir = "/größe", shards = -1 }
     |                                        ^~
     = give a whole number from 0 to 64
)");
}

TEST(Document, ReportsAllMistakesInTheOrderOfTheFile) {
    const Read result = read(R"([node]
shards = "2"
[[listener]]
url = "tcp://0.0.0.0:1883"
[[listener]]
max_connections = 1
[limits]
connect_timeout = 10
[auth]
anonymous = "allways"
)");
    ASSERT_EQ(result.errors.size(), 5U) << render(result.errors);
    EXPECT_EQ(result.errors[0].place.line, 2U);
    EXPECT_EQ(result.errors[1].place.line, 4U);
    EXPECT_EQ(result.errors[1].hint, "write \"mqtt://\"");
    EXPECT_EQ(result.errors[2].place.line, 5U);
    EXPECT_EQ(result.errors[2].what, "this listener has no url");
    EXPECT_EQ(result.errors[3].place.line, 8U);
    EXPECT_EQ(result.errors[4].hint, "did you mean \"always\"?");
}

TEST(Document, ReportsEverySyntaxErrorWithAHint) {
    EXPECT_EQ(errors_of("[limits]\n"
                        "packet_bytes_max = 1MiB\n"
                        "receive_maximum = \n"
                        "connect_timeout = 10\n"),
              R"(stentor.toml:2:21: error: expected digit, saw 'M'
   2 | packet_bytes_max = 1MiB
     |                     ^
     = texts, sizes and durations stand in quotes: "1MiB"
stentor.toml:3:19: error: expected value, saw '\n'
   3 | receive_maximum = 
     |                   ^
     = a value is missing after "="
stentor.toml:4:19: error: limits.connect_timeout: the number 10 has no unit
   4 | connect_timeout = 10
     |                   ^~
     = write "10s" for seconds, or "10ms", "10m", "10h"
)");
}

TEST(Document, NamesTheLineThatWasFirst) {
    EXPECT_EQ(errors_of("[limits]\nreceive_maximum = 3 # few\n\nreceive_maximum = 4\n"),
              R"(stentor.toml:4:19: error: cannot redefine existing integer 'receive_maximum'
   4 | receive_maximum = 4
     |                   ^
     = line 2 sets it already: keep one of the two
)");
    // The keys below the second header are those of the first, which is no further mistake.
    EXPECT_EQ(errors_of("[node] # first\nshards = 1\n[node]\nshards = 2\n"),
              R"(stentor.toml:3:1: error: cannot redefine existing table 'node'
   3 | [node]
     | ^
     = line 1 begins it already: put its keys there
)");
}

TEST(Document, SaysHowATextIsClosed) {
    constexpr std::string_view kClose = R"(stentor.toml:2:8: error: the text is not closed
   2 | name = "mill
     |             ^
     = end it on its line with "
)";
    for (const std::string_view rest : {"", "\nshards = 2\n"}) {
        std::string text = "[node]\nname = \"mill";
        text += rest;
        std::string found = errors_of(text);
        // The parser points behind the text's end.
        EXPECT_EQ(found.replace(found.find(":13:"), 4, ":8:"), kClose);
    }
}

struct Slip {
    std::string_view line;
    std::string_view hint;
};

TEST(Document, HasARemedyForEverySlip) {
    for (const auto& [line, hint] : {
             Slip{"[node", "write [node]"},
             Slip{"[[listener]", "write [[listener]]"},
             Slip{"[limits]]", "write [limits]"},
             Slip{"limits]", "write [limits]"},
             Slip{"[]", "a section is a word in brackets, for example [limits]"},
             Slip{"[li mits]", "a section is a word in brackets, for example [limits]"},
             Slip{"a : 1", "write = between a key and its value"},
             Slip{"a", "a key needs a value: key = value"},
             Slip{"a b = 1", "a key is one word of letters, digits, _ and -, followed by ="},
             Slip{"= 1", "a line is a key = value, a [section] or a # comment"},
             Slip{"a = 'x' y", "only a comment, begun by #, may follow on this line"},
             Slip{"a = 'x', 'y'", R"(a list stands in brackets: ["a", "b"])"},
             Slip{R"(a = "C:\data")",
                  R"(write \\ for a backslash, or take single quotes: 'C:\data')"},
             Slip{"a = 01", "write the number without zeros in front"},
             Slip{"a = \"\x01\"", R"(write it as an escape in double quotes: \u001B for example)"},
             Slip{"a = [1\nb = 2",
                  "put commas between the entries of a list, and ] behind the last"},
             Slip{"a = { b = 1,\nc = 2 }", "write { key = value, key = value } on one line"},
             Slip{"a = x\"", "texts stand in quotes, lists in brackets: toml.io shows how"},
             Slip{"a = [1, 2", "a quote or bracket that was opened is not closed"},
             Slip{"\xFF", "save the file as UTF-8"},
         }) {
        for (const std::string_view end : {"", "\n"}) {
            const Read result = read(std::string{line} + std::string{end});
            ASSERT_EQ(result.errors.size(), 1U) << line << '\n' << render(result.errors);
            EXPECT_EQ(result.errors[0].hint, hint) << render(result.errors);
            EXPECT_NE(result.errors[0].place.line, 0U) << line;
        }
    }
}

TEST(Document, DoesNotBlameKeysBelowABrokenHeader) {
    const Read result = read("[limits\nreceive_maximum = 3\n");
    ASSERT_EQ(result.errors.size(), 1U) << render(result.errors);
    EXPECT_EQ(result.errors[0].place.line, 1U);
}

// toml++ 3.3 aborts here if it is let: an assertion in front of its own error.
TEST(Document, SurvivesABraceInAHeader) {
    const Read result = read("[{node]\n");
    ASSERT_EQ(result.errors.size(), 1U);
    EXPECT_EQ(result.errors[0].place.line, 1U);
}

TEST(Document, SaysHowListenersAreWritten) {
    const std::string single = errors_of("[listener]\nurl = \"mqtt://127.0.0.1\"\n");
    EXPECT_NE(single.find("write [[listener]] with two brackets"), std::string::npos) << single;
    const std::string none = errors_of("listener = []\n");
    EXPECT_NE(none.find("there is no listener"), std::string::npos) << none;
    const std::string plural = errors_of("[[listeners]]\nurl = \"mqtt://127.0.0.1\"\n");
    EXPECT_NE(plural.find("did you mean \"listener\"?"), std::string::npos) << plural;
}

TEST(Document, DoesNotDrawOnTheTerminal) {
    Diagnostic diagnostic{.source = "f",
                          .place = {.line = 1, .column = 1},
                          .line_text = "x = \x1b[31m",
                          .what = "bad \x07",
                          .hint = ""};
    EXPECT_EQ(render(diagnostic), "f:1:1: error: bad ?\n   1 | x = ?[31m\n     | ^\n");
    // Nor in C1 controls, nor with what is no UTF-8, nor in the hint, which may quote the file.
    diagnostic.line_text = "\xFF\xC3 = \xC2\x9B 1";
    diagnostic.place.column = 6;
    diagnostic.hint = "write \"\x1b[1m\x80\"";
    EXPECT_EQ(render(diagnostic),
              "f:1:6: error: bad ?\n   1 | ?? = ? 1\n     |      ^\n     = write \"?[1m?\"\n");
}

}  // namespace
}  // namespace stentor::config
