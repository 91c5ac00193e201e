#include "server/config/load.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <string>
#include <sys/stat.h>

namespace stentor::config {
namespace {

std::string errors_of(const Sources& sources) {
    const auto loaded = load(sources);
    return loaded ? "" : render(loaded.error());
}

TEST(Load, HasDefaultsWithoutAnything) {
    const auto loaded = load({});
    ASSERT_TRUE(loaded.has_value());
    EXPECT_TRUE(loaded->origins.empty());
    EXPECT_TRUE(loaded->warnings.empty());
    ASSERT_EQ(loaded->options.listeners.size(), 1U);
    EXPECT_EQ(to_string(loaded->options.listeners[0].url), "mqtt://127.0.0.1:1883");
    EXPECT_TRUE(changes(Options{}, loaded->options).empty());
}

TEST(Load, LetsLaterSourcesWin) {
    const kit::TempDir dir;
    Sources sources;
    sources.file = dir.write("stentor.toml", R"(
[node]
name = "file"
data_dir = "file"
[limits]
receive_maximum = 1
inflight_maximum = 1
topic_levels_max = 1
)");
    sources.environment = {"PATH=/bin",
                           "STENTOR_LIMITS__INFLIGHT_MAXIMUM=2",
                           "STENTOR_LIMITS__TOPIC_LEVELS_MAX=2",
                           "STENTOR_NODE__DATA_DIR=environment"};
    sources.settings = {"limits.topic_levels_max=3", "node.data_dir=setting"};
    sources.data_dir = "flag";
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value()) << render(loaded.error());
    EXPECT_EQ(loaded->options.node.name, "file");
    EXPECT_EQ(loaded->options.limits.receive_maximum, 1);
    EXPECT_EQ(loaded->options.limits.inflight_maximum, 2);
    EXPECT_EQ(loaded->options.limits.topic_levels_max, 3U);
    EXPECT_EQ(loaded->options.node.data_dir, "flag");
    EXPECT_EQ(loaded->origins.at("limits.topic_levels_max").source,
              "--set limits.topic_levels_max");
}

TEST(Load, ReplacesAllListenersByThoseOfTheCommandLine) {
    Sources sources;
    sources.environment = {"STENTOR_LISTENER__0__URL=mqtt://127.0.0.1:7"};
    sources.listen = {"mqtt://127.0.0.1:0", "unix:///tmp/x"};
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value()) << render(loaded.error());
    ASSERT_EQ(loaded->options.listeners.size(), 2U);
    EXPECT_EQ(to_string(loaded->options.listeners[0].url), "mqtt://127.0.0.1:0");
    EXPECT_EQ(to_string(loaded->options.listeners[1].url), "unix:///tmp/x");
}

TEST(Load, SettingsSayMoreAboutListenersOfTheCommandLine) {
    Sources sources;
    sources.environment = {"STENTOR_LISTENER__0__MAX_CONNECTIONS=7"};
    sources.listen = {"mqtt://127.0.0.1:0"};
    sources.settings = {"listener.max_connections=9", "listener.1.url=unix:///tmp/x"};
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value()) << render(loaded.error());
    ASSERT_EQ(loaded->options.listeners.size(), 2U);
    EXPECT_EQ(to_string(loaded->options.listeners[0].url), "mqtt://127.0.0.1:0");
    EXPECT_EQ(loaded->options.listeners[0].connections_max, 9U);
}

TEST(Load, NumbersListenersOfTheEnvironment) {
    Sources sources;
    sources.environment = {"STENTOR_LISTENER__1__URL=mqtt://127.0.0.1:2",
                           "STENTOR_LISTENER__0__URL=mqtt://127.0.0.1:1"};
    sources.settings = {"listener.1.max_connections=9"};
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value()) << render(loaded.error());
    ASSERT_EQ(loaded->options.listeners.size(), 2U);
    EXPECT_EQ(loaded->options.listeners[1].connections_max, 9U);
}

TEST(Load, RefusesVariablesThatNearlySetSomething) {
    Sources sources;
    sources.environment = {"STENTOR_NODE_SHARDS=3", "STENTOR_AUTH=x", "STENTOR_JOBS=2"};
    EXPECT_EQ(errors_of(sources),
              "environment variable STENTOR_AUTH: error: section and key are separated by two "
              "underscores\n"
              "     = did you mean \"STENTOR_AUTH__<KEY>\"?\n"
              "environment variable STENTOR_NODE_SHARDS: error: section and key are separated by "
              "two underscores\n"
              "     = did you mean \"STENTOR_NODE__SHARDS\"?\n");
}

TEST(Load, NamesTheNearestVariableAndKey) {
    Sources sources;
    sources.environment = {"STENTOR_LIMITS__PACKET_BYTE_MAX=1MiB", "STENTOR_HOME=/opt/x"};
    EXPECT_EQ(errors_of(sources),
              "environment variable STENTOR_LIMITS__PACKET_BYTE_MAX: error: unknown key "
              "\"limits.packet_byte_max\"\n"
              "     = did you mean \"STENTOR_LIMITS__PACKET_BYTES_MAX\"?\n");
    sources = {};
    sources.settings = {"limit.recieve_maximum=3"};
    EXPECT_EQ(errors_of(sources),
              "--set limit.recieve_maximum: error: unknown key \"limit.recieve_maximum\"\n"
              "     = did you mean \"limits.receive_maximum\"?\n");
    sources.settings = {"acl_file=x"};
    EXPECT_EQ(errors_of(sources),
              "--set acl_file: error: unknown key \"acl_file\"\n"
              "     = did you mean \"auth.acl_file\"?\n");
}

TEST(Load, CollectsMistakesOfAllSources) {
    const kit::TempDir dir;
    Sources sources;
    sources.file = dir.write("stentor.toml", "[node]\nshards = -1\n");
    sources.environment = {"STENTOR_AUTH__ANONYMOUS=perhaps"};
    sources.settings = {"nonsense", "listener.5.url=mqtt://127.0.0.1"};
    sources.listen = {"mqtt://127.0.0.1:99999"};
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_error());
    EXPECT_EQ(loaded.error().size(), 5U) << render(loaded.error());
}

TEST(Load, SaysWhatIsMeantByAlmostNothing) {
    Sources sources;
    sources.settings = {"=", "limits=3"};
    sources.data_dir = ":Memory:";
    const std::string all = errors_of(sources);
    EXPECT_NE(all.find("--set =: error: a setting has a key and a value"), std::string::npos);
    EXPECT_NE(all.find("\"limits\" is a section"), std::string::npos);
    EXPECT_NE(all.find("for a directory of that name write \"./:Memory:\""), std::string::npos);
    sources = {};
    sources.file = "";
    EXPECT_NE(errors_of(sources).find("its name is empty"), std::string::npos);
}

TEST(Load, SaysWhyAFileCannotBeRead) {
    const kit::TempDir dir;
    Sources sources;
    sources.file = dir.file("missing.toml");
    EXPECT_EQ(errors_of(sources),
              "configuration file: error: cannot read " + *sources.file +
                  ": No such file or directory\n     = `stentor check --print-example > " +
                  *sources.file + "` makes one to begin with\n");
    sources.file = dir.path().string();
    EXPECT_EQ(errors_of(sources),
              "configuration file: error: cannot read " + *sources.file +
                  ": Is a directory\n     = name a file in it\n");
    sources.file = dir.write("large.toml", std::string((1U << 20U) + 1, '#'));
    EXPECT_NE(errors_of(sources).find("is larger than 1MiB"), std::string::npos);
}

TEST(Load, RefusesTwoListenersOnOneAddress) {
    const kit::TempDir dir;
    Sources sources;
    sources.file = dir.write("stentor.toml",
                             "[[listener]]\nurl = \"mqtt://127.0.0.1:1883\"\n"
                             "[[listener]]\nurl = \"mqtt://127.0.0.1\"\n");
    EXPECT_EQ(errors_of(sources),
              *sources.file +
                  ":4:7: error: two listeners cannot share mqtt://127.0.0.1:1883\n"
                  "   4 | url = \"mqtt://127.0.0.1\"\n"
                  "     |       ^~~~~~~~~~~~~~~~~~\n"
                  "     = give one of them another port\n");
    sources.file = dir.write("free.toml",
                             "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n"
                             "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n");
    EXPECT_EQ(errors_of(sources), "");
}

TEST(Load, RefusesMoreListenersThanThereMayBe) {
    const kit::TempDir dir;
    std::string file;
    for (int i = 0; i < 257; ++i) file += "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n";
    Sources sources;
    sources.file = dir.write("many.toml", file);
    EXPECT_NE(errors_of(sources).find("many.toml:514:7: error: there are 257 listeners"),
              std::string::npos);
}

TEST(Load, WarnsOfALoginServiceWithoutAnAddress) {
    Sources sources;
    sources.listen = {"mqtt://127.0.0.1:0"};
    sources.settings = {"auth.http.headers_file=headers"};
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_EQ(loaded->warnings.size(), 1U);
    EXPECT_EQ(loaded->warnings[0].what, "no service is asked: [auth.http] says how, but not whom");
}

TEST(Load, WarnsOfAListenerThatLetsNobodyIn) {
    Sources sources;
    sources.listen = {"mqtt://0.0.0.0:0"};
    auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_EQ(loaded->warnings.size(), 1U);
    EXPECT_EQ(loaded->warnings[0].what,
              "nobody can connect to mqtt://0.0.0.0:0: it demands a user, and there are none");
    for (const char* setting : {"auth.password_file=users", "auth.jwt.jwks_file=keys"}) {
        sources.settings = {setting};
        loaded = load(sources);
        ASSERT_TRUE(loaded.has_value());
        EXPECT_TRUE(loaded->warnings.empty()) << setting;
    }
}

TEST(Load, TellsWhatAReloadCanChange) {
    Options before;
    Options after;
    after.logging.level = LogLevel::debug;
    after.node.shards = 4;
    after.listeners[0].connections_max = 1;
    const std::vector<Change> found = changes(before, after);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].path, "node.shards");
    EXPECT_EQ(found[0].applies, Applies::at_restart);
    EXPECT_EQ(found[1].path, "logging.level");
    EXPECT_EQ(found[1].applies, Applies::at_reload);
    EXPECT_EQ(found[2].path, "listener");
}

}  // namespace
}  // namespace stentor::config
