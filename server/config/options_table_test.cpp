#include "server/config/options_table.hpp"

#include "server/config/reference.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace stentor::config {
namespace {

const Key& key(std::string_view path) {
    const Key* found = find_key(path);
    EXPECT_NE(found, nullptr) << path;
    return *found;
}

class OptionsTable : public testing::Test {
  protected:
    Result<void, ValueError> set(std::string_view path, const RawValue& value) {
        return assign(key(path), Target{options_, listener_}, value);
    }
    Options options_;
    ListenerOptions listener_;
};

TEST_F(OptionsTable, NamesEveryKeyOnceAndInAKnownSection) {
    std::set<std::string_view> paths;
    std::set<std::string_view> section_paths;
    for (const Section& section : sections()) section_paths.insert(section.path);
    for (const Key& each : keys()) {
        EXPECT_TRUE(paths.insert(each.path).second) << each.path;
        EXPECT_TRUE(section_paths.contains(each.section())) << each.path;
        EXPECT_FALSE(each.description.empty()) << each.path;
        EXPECT_EQ(each.kind == Kind::choice, !each.choices.empty()) << each.path;
    }
}

TEST_F(OptionsTable, AcceptsItsOwnDefaultsAndKeepsThem) {
    for (const Key& each : keys()) {
        std::string text = format_default(each);
        if (each.kind == Kind::list) {
            text = text.substr(1, text.size() - 2);  // ["a"] is "a" where everything is text
        }
        if (text.starts_with('"')) text = text.substr(1, text.size() - 2);
        const auto done = assign(each, Target{options_, listener_}, FromText{text});
        EXPECT_TRUE(done.has_value()) << each.path << ": " << text;
        EXPECT_EQ(each.of_listener() ? format_value(each, listener_) : format_value(each, options_),
                  format_default(each));
    }
}

TEST_F(OptionsTable, HasTheDefaultsOfTheDocumentation) {
    EXPECT_EQ(format_default(key("listener.url")), R"("mqtt://127.0.0.1:1883")");
    EXPECT_EQ(format_default(key("node.data_dir")), R"("./stentor-data")");
    EXPECT_EQ(format_default(key("store.acknowledge_after")), R"("disk")");
    EXPECT_EQ(format_default(key("store.max_age")), R"("90d")");
    EXPECT_EQ(format_default(key("store.max_bytes")), R"("10GiB")");
    EXPECT_EQ(format_default(key("limits.packet_bytes_max")), R"("1MiB")");
    EXPECT_EQ(format_default(key("limits.connect_timeout")), R"("10s")");
    EXPECT_EQ(format_default(key("limits.keepalive_max")), "0");
    EXPECT_EQ(format_default(key("auth.anonymous")), R"("loopback")");
    EXPECT_EQ(format_default(key("http.admins")), R"(["password:admin"])");
    EXPECT_EQ(format_default(key("logging.level")), R"("info")");
}

TEST_F(OptionsTable, TakesValuesOfTheRightType) {
    EXPECT_TRUE(set("limits.packet_bytes_max", std::string{"2MiB"}).has_value());
    EXPECT_EQ(options_.limits.packet_bytes_max, 2U << 20U);
    EXPECT_TRUE(set("limits.receive_maximum", std::int64_t{20}).has_value());
    EXPECT_EQ(options_.limits.receive_maximum, 20);
    EXPECT_TRUE(set("auth.anonymous", std::string{"never"}).has_value());
    EXPECT_EQ(options_.auth.anonymous, AnonymousPolicy::never);
    EXPECT_TRUE(set("http.admins", std::vector<std::string>{"jwt:x", "password:y"}).has_value());
    EXPECT_EQ(options_.http.admins.size(), 2U);
    EXPECT_TRUE(set("http.admins", FromText{"password:a,password:b"}).has_value());
    EXPECT_EQ(options_.http.admins[1], "password:b");
    EXPECT_TRUE(set("limits.keepalive_max", std::int64_t{0}).has_value());
}

struct BadValue {
    const char* path;
    RawValue value;
    const char* what;
    const char* hint;
};

TEST_F(OptionsTable, SaysWhatIsWrongWithAValue) {
    const BadValue bad[] = {
        {"limits.packet_bytes_max",
         std::int64_t{1'048'576},
         "the number 1048576 has no unit",
         R"(write "1048576B" for bytes, or "1048576KiB", "1048576MiB")"},
        {"limits.packet_bytes_max",
         std::string{"1GiB"},
         R"("1GiB" is out of range)",
         "give a size from 1KiB to 268435460B"},
        {"limits.connect_timeout",
         std::int64_t{10},
         "the number 10 has no unit",
         R"(write "10s" for seconds, or "10ms", "10m", "10h")"},
        {"limits.receive_maximum",
         std::int64_t{0},
         "0 is out of range",
         "give a whole number from 1 to 65535"},
        {"limits.receive_maximum",
         std::int64_t{-1},
         "-1 is out of range",
         "give a whole number from 1 to 65535"},
        {"limits.receive_maximum",
         std::string{"100"},
         "expected a whole number from 1 to 65535, not a text",
         "write it without quotes: 100"},
        {"limits.receive_maximum",
         1.5,
         "expected a whole number from 1 to 65535, not a number with a fraction",
         ""},
        {"limits.receive_maximum",
         FromText{"many"},
         R"("many" is not a whole number)",
         "give a whole number from 1 to 65535"},
        {"auth.anonymous",
         std::string{"loopbak"},
         R"("loopbak" is not one of never, loopback and always)",
         R"(did you mean "loopback"?)"},
        {"auth.anonymous", true, "expected never, loopback or always, not true or false", ""},
        {"auth.password_file",
         std::int64_t{1},
         "expected a text, not a number",
         R"(texts stand in quotes: "...")"},
        {"http.admins",
         std::string{"password:admin"},
         "expected a list of texts, not a text",
         R"(write ["password:admin"])"},
        {"http.admins",
         std::vector<std::string>{"admin"},
         R"("admin" does not say who vouches for the name)",
         R"(write authenticator:name, for example "password:admin")"},
        {"http.admins",
         std::vector<std::string>{"passwort:admin"},
         R"(unknown authenticator "passwort")",
         R"(did you mean "password"?)"},
        {"http.cors_origins",
         std::vector<std::string>{"*"},
         R"("*" is not a web site's origin)",
         "scheme, host and perhaps port, without a path: https://example.org"},
        {"http.cors_origins",
         std::vector<std::string>{"https://example.org/"},
         R"("https://example.org/" is not a web site's origin)",
         "scheme, host and perhaps port, without a path: https://example.org"},
        {"node.name",
         std::string{"a/b"},
         R"("a/b" is not a name)",
         R"(1 to 64 characters without blanks, '/', '+', '#', '"' and '\')"},
        {"node.data_dir", std::string{}, "must not be empty", ""},
    };
    for (const BadValue& each : bad) {
        const auto done = set(each.path, each.value);
        ASSERT_TRUE(done.has_error()) << each.path << " -> " << each.what;
        EXPECT_EQ(done.error().what, each.what);
        EXPECT_EQ(done.error().hint, each.hint) << each.what;
    }
}

TEST_F(OptionsTable, RefusesPlannedKeysUnlessTheyAreAtTheirDefault) {
    Key planned = *find_key("auth.acl_file");
    planned.status = Status::planned;
    const Target target{options_, listener_};
    EXPECT_TRUE(assign(planned, target, RawValue{std::string{}}).has_value());
    const auto done = assign(planned, target, RawValue{std::string{"acl"}});
    ASSERT_TRUE(done.has_error());
    EXPECT_EQ(done.error().what, "this version of stentor does not do that yet");
    EXPECT_EQ(options_.auth.acl_file, "");
}

std::string file_text(const char* path) {
    std::ifstream file{std::string{STENTOR_SOURCE_DIR} + path};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST_F(OptionsTable, WroteTheReferenceInDocs) {
    EXPECT_TRUE(file_text("/docs/configuration.md") == reference_markdown())
        << "out of date; write it again: stentor check --print-reference > docs/configuration.md";
}

TEST_F(OptionsTable, WroteTheExampleInDocs) {
    EXPECT_TRUE(file_text("/docs/stentor.example.toml") == example_toml())
        << "out of date: stentor check --print-example > docs/stentor.example.toml";
}

}  // namespace
}  // namespace stentor::config
