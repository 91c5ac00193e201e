// Stores that earlier versions have written, as they are checked in (tests/fixtures): this version
// opens them, with all that is in them.

#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/store_files.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace stentor::store {
namespace {

namespace fs = std::filesystem;

class OlderStoreTest : public testing::Test {
  protected:
    [[nodiscard]] SqliteEngineOptions copy_of(const std::string& fixture) const {
        SqliteEngineOptions options;
        options.directory = directory_.file(fixture);
        fs::remove_all(options.directory);
        fs::copy(fs::path{STENTOR_SOURCE_DIR} / "tests/fixtures" / fixture,
                 options.directory,
                 fs::copy_options::recursive);
        return options;
    }
    [[nodiscard]] static std::vector<std::string> payloads(const std::vector<PageEntry>& entries) {
        std::vector<std::string> found;
        for (const PageEntry& entry : entries)
            found.emplace_back(as_text(entry.message->payload()));
        return found;
    }
    [[nodiscard]] static std::vector<std::string> numbered(const std::string& what, int count) {
        std::vector<std::string> lines;
        for (int i = 0; i < count; ++i) lines.push_back(what + ' ' + std::to_string(i));
        return lines;
    }
    static void expect_sessions(const StoredState& state, std::size_t sessions = 3) {
        ASSERT_EQ(state.sessions().size(), sessions);
        const StoredSession& waiting = state.sessions().at("waiting");
        EXPECT_EQ(waiting.version, mqtt::ProtocolVersion::v5);
        EXPECT_EQ(waiting.expiry_seconds, 90U * 86'400) << "limits.session_expiry_max then";
        ASSERT_EQ(waiting.subscriptions.size(), 1U);
        EXPECT_EQ(waiting.subscriptions[0].filter, "t/#");
        const StoredSession& old = state.sessions().at("old");
        EXPECT_EQ(old.version, mqtt::ProtocolVersion::v3_1_1);
        EXPECT_EQ(old.subscriptions.size(), 2U);
        const StoredSession& half = state.sessions().at("half");
        EXPECT_FALSE(half.attached);
        EXPECT_FALSE(half.will.has_value());
        ASSERT_EQ(half.unfinished.size(), 3U);
        EXPECT_EQ(half.unfinished[0].packet_id, PacketId{1});
        EXPECT_EQ(half.unfinished[0].qos, mqtt::QoS::at_least_once);
    }
    static void expect_retained(const StoredState& state) {
        ASSERT_EQ(state.retained().size(), 2U);
        EXPECT_EQ(as_text(state.retained().at("r/1").message->payload()), "second value");
        EXPECT_EQ(as_text(state.retained().at("r/2").message->payload()), "value");
    }
    kit::TempDir directory_;
};

TEST_F(OlderStoreTest, FormatOneIsOpenedWithAllThatIsInIt) {
    Store store{copy_of("store-1")};
    ASSERT_TRUE(store.open().has_value());
    EXPECT_TRUE(store.recovered().clean);
    EXPECT_EQ(store.recovered().last, Seq{62});
    expect_sessions(store.recovered().state);
    expect_retained(store.recovered().state);
    EXPECT_EQ(payloads(store.read_all({"t/#"})), numbered("message", 40));
    EXPECT_EQ(payloads(store.read_all({"h"})), numbered("in flight", 3));

    ASSERT_TRUE(store.commit(samples::logged("t/new", "after it")).has_value());
    store.close();
    ASSERT_TRUE(store.open().has_value());
    expect_sessions(store.recovered().state);
    expect_retained(store.recovered().state);
    EXPECT_EQ(payloads(store.read_all({"t/new"})), std::vector<std::string>{"after it"});
    EXPECT_EQ(store.read_all({"t/+"}).size(), 41U);
}

TEST_F(OlderStoreTest, FormatOneTakesWhatOnlyNewerFormatsHave) {
    Store store{copy_of("store-1")};
    ASSERT_TRUE(store.open().has_value());
    Subscribed lower = samples::subscribed("waiting", "t/#");
    lower.subscriptions[0].options.qos = mqtt::QoS::at_most_once;
    lower.subscriptions[0].keeps_since = true;
    ASSERT_TRUE(store.commit(lower).has_value());
    store.close();
    ASSERT_TRUE(store.open().has_value());
    const auto& subscriptions = store.recovered().state.sessions().at("waiting").subscriptions;
    ASSERT_EQ(subscriptions.size(), 1U);
    EXPECT_EQ(subscriptions[0].kept.last(), Seq{63});
}

TEST_F(OlderStoreTest, FormatTwoIsOpenedWithAllThatIsInIt) {
    Store store{copy_of("store-2")};
    for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(store.open().has_value());
        EXPECT_TRUE(store.recovered().clean);
        EXPECT_EQ(store.recovered().last, Seq{69});
        expect_sessions(store.recovered().state, 4);
        expect_retained(store.recovered().state);
        EXPECT_EQ(payloads(store.read_all({"t/#"})), numbered("message", 40));
        EXPECT_EQ(payloads(store.read_all({"h"})), numbered("in flight", 3));
        EXPECT_EQ(payloads(store.read_all({"l"})), numbered("kept", 3));
        store.close();
    }
}

// What was there at the first start with this format is missed from then on.
TEST_F(OlderStoreTest, AFileOfAnOlderStoreIsMissedOnceItHasBeenOpened) {
    for (const char* fixture : {"store-1", "store-2"}) {
        Store store{copy_of(fixture)};
        ASSERT_TRUE(store.open().has_value());
        store.close();
        ASSERT_TRUE(fs::remove(store.options().directory + "/log/00000000000000000001.db"));
        const auto opened = store.open();
        ASSERT_FALSE(opened.has_value()) << fixture;
        EXPECT_EQ(opened.error(), StoreErrc::damaged);
    }
}

TEST_F(OlderStoreTest, OneOfANewerFormatIsRefused) {
    for (const char* file : {"/state.db", "/log/00000000000000000001.db"}) {
        SqliteEngineOptions options = copy_of("store-1");
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open((options.directory + file).c_str(), &connection), SQLITE_OK);
        sqlite3_exec(connection, "PRAGMA user_version=1000", nullptr, nullptr, nullptr);
        sqlite3_close(connection);
        Store store{options};
        const auto opened = store.open();
        ASSERT_FALSE(opened.has_value()) << file;
        EXPECT_EQ(opened.error(), StoreErrc::newer_version) << file;
        EXPECT_EQ(opened.error().message(), "the store was written by a newer version of Stentor");
    }
}

}  // namespace
}  // namespace stentor::store
