// check, stats, dump and backup on stores made here, sound and damaged in every way they look for.

#include "base/random.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/inspect/backup.hpp"
#include "persistence/sqlite/inspect/check.hpp"
#include "persistence/sqlite/inspect/dump.hpp"
#include "persistence/sqlite/inspect/stats.hpp"
#include "persistence/sqlite/random_traffic.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr ShardId kShard{0};

class InspectTest : public testing::Test {
  protected:
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions options;
        options.directory = store_;
        options.segment_bytes_max = 4000;
        options.row_bytes_max = 300;
        options.apply_chunk_bytes = 1000;
        return options;
    }

    /// An engine that is open until the end of `use`.
    template <class Use>
    void with_engine(const SqliteEngineOptions& options, Use use) {
        SqliteEngine engine{options};
        auto recovered = engine.recover();
        ASSERT_TRUE(recovered.has_value());
        RecordingSink sink{recovered->last};
        engine.start(sink);
        CommitTicket ticket = 0;
        use(engine, sink, [&](std::vector<Record> records) {
            WriteBatch batch = samples::batch(kShard, ++ticket, std::move(records));
            EXPECT_EQ(engine.submit(batch), Push::ok);
            EXPECT_TRUE(sink.wait([&] { return sink.result(kShard, ticket).has_value(); },
                                  std::chrono::seconds{60}));
        });
        engine.drain_and_close();
    }

    /// A life of sessions, retained values and messages, over several segments.
    void fill(std::uint64_t seed, int batches = 60) {
        is_random_ = true;
        with_engine(options(), [&](auto& /*engine*/, auto& sink, const auto& commit) {
            RandomTraffic traffic{seed};
            Random random{seed};
            for (int i = 0; i < batches; ++i) {
                std::vector<Record> batch;
                for (std::uint64_t left = random.between(1, 6); left != 0; --left) {
                    batch.push_back(random.chance(1, 2)
                                        ? Record{samples::logged("t/" + std::to_string(i % 7),
                                                                 std::string(100, 'x'))}
                                        : traffic.next(sink.last()));
                }
                commit(std::move(batch));
            }
        });
    }

    [[nodiscard]] std::vector<std::string> segment_files() const {
        std::vector<std::string> found;
        for (const auto& file : std::filesystem::directory_iterator{store_ + "/log"}) {
            if (segment_id(file.path().filename().string())) found.push_back(file.path());
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    static void run_sql(const std::string& path, const std::string& sql) {
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
        char* error = nullptr;
        EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
            << sql << ": " << error;
        sqlite3_free(error);
        sqlite3_close(connection);
    }

    /// "file: what" of everything check finds, but for what random traffic is guilty of: it lists
    /// deliveries of records that are no messages.
    [[nodiscard]] std::vector<std::string> findings(const std::string& directory) const {
        const auto report = check_store(directory);
        if (!report) return {"not checked: " + report.error().what};
        std::vector<std::string> lines;
        for (const Finding& finding : report->findings) {
            const auto name = std::filesystem::path{finding.file}.filename().string();
            EXPECT_NE(finding.hint, "");
            if (is_random_ && finding.what.ends_with("but the message is nowhere")) continue;
            lines.push_back(name + ": " + finding.what);
        }
        return lines;
    }
    [[nodiscard]] std::vector<std::string> findings() const { return findings(store_); }

    bool is_random_ = false;
    kit::TempDir directory_;
    const std::string store_ = directory_.file("store");
};

TEST_F(InspectTest, ASoundStoreHasNoFindings) {
    for (std::uint64_t seed = 1; seed <= 15; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::filesystem::remove_all(store_);
        fill(seed);
        EXPECT_THAT(findings(), IsEmpty());
        fill(seed + 100, 20);  // goes on after a clean stop
        EXPECT_THAT(findings(), IsEmpty());
        const auto report = check_store(store_);
        EXPECT_GT(report->segments, 2U);
        EXPECT_GT(report->sessions_replayed, 0U);
        EXPECT_GT(report->retained_replayed, 0U);
        EXPECT_EQ(report->applied_through, report->last);
    }
}

TEST_F(InspectTest, ALogThatHasBeenTrimmedIsSound) {
    is_random_ = true;
    with_engine(options(), [&](auto& engine, auto& sink, const auto& commit) {
        RandomTraffic traffic{3};
        for (int i = 0; i < 100; ++i) {
            commit({samples::logged("t", std::string(200, 'x')), traffic.next(sink.last())});
            if (i % 10 == 0) engine.needed_from(kShard, Seq{sink.last().value() - 5});
        }
        EXPECT_TRUE(
            sink.wait([&] { return segment_files().size() < 4; }, std::chrono::seconds{60}));
    });
    EXPECT_THAT(findings(), IsEmpty());
    EXPECT_GT(segment_id(std::filesystem::path{segment_files()[0]}.filename().string())->first,
              Seq{1});
}

TEST_F(InspectTest, AJumpIsSound) {
    fill(1);
    with_engine(
        [&] {
            SqliteEngineOptions jumping = options();
            jumping.reopens_after = Seq{100'000};
            return jumping;
        }(),
        [](auto&, auto&, const auto& commit) { commit({samples::logged("t")}); });
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(InspectTest, AStoreInUseIsNotChecked) {
    with_engine(options(), [&](auto&, auto&, const auto&) {
        EXPECT_THAT(findings()[0], HasSubstr("process " + std::to_string(::getpid())));
    });
}

TEST_F(InspectTest, WhatIsNoStoreIsRefused) {
    EXPECT_THAT(findings()[0], HasSubstr("is not a directory"));
    std::filesystem::create_directory(store_);
    EXPECT_THAT(findings()[0], HasSubstr("no state.db"));
}

TEST_F(InspectTest, ADamagedRowIsFound) {
    fill(1);
    run_sql(segment_files()[1],
            "UPDATE log_row SET body = substr(body, 1, 60) || x'A5A5A5A5' || substr(body, 65)"
            " WHERE first = (SELECT min(first) FROM log_row)");
    EXPECT_THAT(findings(), Contains(HasSubstr("row: stored data is damaged")));
}

TEST_F(InspectTest, AMissingRowIsFound) {
    fill(1);
    run_sql(segment_files()[1],
            "DELETE FROM log_row WHERE first = (SELECT first FROM log_row LIMIT 1 OFFSET 2)");
    EXPECT_THAT(findings(), Contains(HasSubstr("rows are missing")));
}

TEST_F(InspectTest, ARowUnderAnothersKeyIsFound) {
    fill(1);
    run_sql(segment_files().back(),
            "UPDATE log_row SET first = first + 100000"
            " WHERE first = (SELECT max(first) FROM log_row)");
    EXPECT_THAT(findings(), Contains(HasSubstr("a row under another's key")));
}

TEST_F(InspectTest, AMissingSegmentIsFoundIfItHadNotBeenApplied) {
    fill(1);
    const auto files = segment_files();
    std::filesystem::remove(files[1]);
    run_sql(store_ + "/state.db", "DELETE FROM segment");
    EXPECT_THAT(findings(), IsEmpty()) << "as if nobody had needed it";
    run_sql(store_ + "/state.db",
            "UPDATE meta SET applied_through = 3; DELETE FROM session; DELETE FROM subscription;"
            "DELETE FROM retained; DELETE FROM pinned");
    EXPECT_THAT(findings(), Contains(HasSubstr("the records before it are missing")));
}

TEST_F(InspectTest, AMissingFileIsFoundEvenIfAllOfItHadBeenApplied) {
    fill(1);
    const auto files = segment_files();
    ASSERT_GT(files.size(), 2U);
    const auto name = std::filesystem::path{files[1]}.filename().string();
    std::filesystem::remove(files[1]);
    EXPECT_THAT(findings(store_), Contains(HasSubstr(name + ": the file is missing, with pos")));
    const auto report = check_store(store_);
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(report->segments_missing, 1U);
    const auto stats = store_stats(store_);
    ASSERT_TRUE(stats.has_value());
    EXPECT_THAT(stats->json(), HasSubstr("\"segments_missing\":1"));
}

TEST_F(InspectTest, AFileWithoutItsContentsIsFound) {
    fill(1);
    const auto files = segment_files();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(files[1] + suffix);
    std::ofstream{files[1]};
    EXPECT_THAT(findings(store_), Contains(HasSubstr("records that it has had are not")));
}

// Nothing that a backup has is missed when it is opened, and what was missing before is.
TEST_F(InspectTest, ABackupNamesTheFilesItHas) {
    fill(1);
    const std::string whole = directory_.file("whole");
    ASSERT_TRUE(back_up(store_, whole).has_value());
    EXPECT_THAT(findings(whole), Not(Contains(HasSubstr("missing"))));
    const auto files = segment_files();
    std::filesystem::remove(files[1]);
    const std::string lacking = directory_.file("lacking");
    ASSERT_TRUE(back_up(store_, lacking).has_value());
    EXPECT_THAT(findings(lacking), Contains(HasSubstr("the file is missing")));
}

// QoS 2 from a share that nobody durable wanted logged: the identifier is in use until PUBCOMP.
TEST_F(InspectTest, AnUnfinishedDeliveryWithoutAPositionLacksNoMessage) {
    with_engine(options(), [&](auto& /*engine*/, auto& /*sink*/, const auto& commit) {
        Unfinished unlogged = samples::unfinished(kNoSeq, 7);
        unlogged.qos = mqtt::QoS::exactly_once;
        commit({samples::attached("c")});
        commit({samples::delivered("c", Seq{1}, {unlogged})});
    });
    EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(InspectTest, APinnedMessageIsNotLackingAndItsDamageIsFound) {
    with_engine(options(), [&](auto& /*engine*/, auto& /*sink*/, const auto& commit) {
        commit({samples::retained("t", "old")});
        commit({samples::attached("c")});
        commit({samples::delivered("c", Seq{2}, {samples::unfinished(Seq{1}, 1)})});
        commit({samples::retained("t", "new")});
    });
    EXPECT_THAT(findings(), IsEmpty());
    run_sql(store_ + "/state.db", "UPDATE pinned SET message = substr(message, 1, 9)");
    const auto found = findings();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_THAT(found[0], HasSubstr("the pinned message is damaged"));
}

// The new file has what is needed, and reaches as far as those it replaces did.
TEST_F(InspectTest, NothingIsWrongWithARewrittenSegment) {
    SqliteEngineOptions eager = options();
    eager.survey_pause_min = Duration{1};
    eager.survey_pause_max = Duration{1};
    with_engine(eager, [&](auto& engine, auto& sink, const auto& commit) {
        for (int i = 0; i < 100; ++i) {
            const std::string topic = i % 20 == 3 ? "rare" : "t/" + std::to_string(i % 7);
            commit({samples::logged(topic, std::string(400, 'x'))});
        }
        engine.needed_from(kShard, Seq{1});
        EXPECT_TRUE(sink.wait(
            [&] {
                if (engine.wants_survey(kShard)) {
                    NeedSurvey survey{sink.last()};
                    survey.add("rare", Seq{1});
                    engine.survey(kShard, std::move(survey));
                }
                return segment_files().size() <= 3;
            },
            std::chrono::seconds{60}));
    });
    const auto files = segment_files();
    ASSERT_TRUE(std::any_of(files.begin(), files.end(), [](const std::string& file) {
        return segment_id(std::filesystem::path{file}.filename().string())->generation != 0;
    }));
    EXPECT_THAT(findings(), IsEmpty());
    for (const std::string& file : files) run_sql(file, "UPDATE seal SET last = 1");
    EXPECT_THAT(findings(), Contains(HasSubstr("seal's last position")));
}

TEST_F(InspectTest, AnIndexThatIsNotThatOfTheRowsIsFound) {
    fill(1);
    const std::string sealed = segment_files()[0];
    run_sql(sealed, "DELETE FROM topic_index WHERE topic = CAST('t/1' AS BLOB)");
    EXPECT_THAT(findings(), Contains(HasSubstr("the index of topic t/1")));
    run_sql(sealed,
            "UPDATE topic_index SET topic = CAST('other' AS BLOB)"
            " WHERE topic = CAST('t/2' AS BLOB)");
    EXPECT_THAT(findings(), Contains(HasSubstr("a topic that no row has: other")));
    run_sql(sealed, "UPDATE seal SET filter = x'00', last = 1");
    EXPECT_THAT(findings(), Contains(HasSubstr("seal's topic filter")));
    EXPECT_THAT(findings(), Contains(HasSubstr("seal's last position")));
}

TEST_F(InspectTest, AStateThatIsNotThatOfTheLogIsFound) {
    with_engine(options(), [](auto&, auto&, const auto& commit) {
        Attached begins = samples::attached("c");
        begins.discards_earlier_state = true;
        commit({begins, samples::subscribed("c", "t"), samples::retained("r", "value")});
    });
    EXPECT_THAT(findings(), IsEmpty());
    run_sql(store_ + "/state.db", "UPDATE session SET sent_through = sent_through + 1");
    EXPECT_THAT(findings(), Contains(HasSubstr("session c is {")));
    run_sql(store_ + "/state.db", "DELETE FROM session");
    EXPECT_THAT(findings(), Contains(HasSubstr("session c is {nothing}")));
    run_sql(store_ + "/state.db", "UPDATE retained SET seq = seq - 1");
    EXPECT_THAT(findings(), Contains(HasSubstr("the retained value of r is not the log's")));
}

TEST_F(InspectTest, PositionsFromTheFutureAreFound) {
    fill(1);
    run_sql(store_ + "/state.db", "UPDATE meta SET applied_through = 1");
    EXPECT_THAT(findings(), Contains(HasSubstr("lies beyond applied_through 1")));
}

TEST_F(InspectTest, AnUnfinishedDeliveryWithoutItsMessageIsFound) {
    with_engine(options(), [](auto&, auto&, const auto& commit) {
        commit({samples::logged("t"),
                samples::attached("c"),
                samples::delivered("c", Seq{1}, {samples::unfinished(Seq{1}, 1)})});
    });
    EXPECT_THAT(findings(), IsEmpty());
    for (const std::string& file : segment_files()) std::filesystem::remove(file);
    EXPECT_THAT(findings(), Contains(HasSubstr("but the message is nowhere")));
    EXPECT_THAT(findings(), Contains(HasSubstr("the log has no segment")));
}

TEST_F(InspectTest, AMissingEndOfTheLogIsFound) {
    fill(1);
    std::filesystem::remove(segment_files().back());
    EXPECT_THAT(findings(), Contains(HasSubstr("segments are missing")));
}

TEST_F(InspectTest, TornPagesAreFound) {
    fill(1);
    const std::string path = segment_files()[0];
    const auto size = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, size / 2);
    EXPECT_THAT(findings(), Not(IsEmpty()));
    std::filesystem::resize_file(store_ + "/state.db", 5000);
    EXPECT_THAT(findings(), Not(IsEmpty()));
}

TEST_F(InspectTest, StatsSayWhoKeepsTheLog) {
    with_engine(options(), [&](auto&, auto&, const auto& commit) {
        commit({samples::attached("old"),
                samples::subscribed("old", "t"),
                samples::attached("new"),
                samples::subscribed("new", "t"),
                samples::retained("r", "value"),
                samples::logged("t")});
        commit({samples::delivered("new", Seq{6}, {})});
    });
    const auto stats = store_stats(store_);
    ASSERT_TRUE(stats.has_value());
    EXPECT_THAT(stats->text(), HasSubstr("oldest_need_of=old"));
    EXPECT_THAT(stats->text(), HasSubstr("subscriptions=2"));
    EXPECT_THAT(stats->text(), HasSubstr("applied_through=7"));
    EXPECT_THAT(stats->json(), HasSubstr("\"retained\":1"));
}

TEST_F(InspectTest, DumpPrintsWhatWasAskedFor) {
    with_engine(options(), [](auto&, auto&, const auto& commit) {
        commit({samples::attached("c"),
                samples::subscribed("c", "t/#"),
                samples::logged("t/1", "one\n"),
                samples::logged("t/2", "two")});
    });
    const auto lines = [&](const DumpFilter& filter) {
        std::string all;
        const auto skipped = dump_log(
            store_,
            filter,
            [&](const Fields& record) {
                all += record.text() + '\n';
                return true;
            },
            [](const std::string& what) { ADD_FAILURE() << what; });
        EXPECT_TRUE(skipped.has_value());
        return all;
    };
    const std::string all = lines({});
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 4);
    EXPECT_THAT(all, HasSubstr("seq=1 type=attached client=c"));
    EXPECT_THAT(all, HasSubstr("subscriptions=[filter=t/#"));
    EXPECT_THAT(all, HasSubstr("payload_bytes=4"));
    EXPECT_THAT(all, Not(HasSubstr("one")));
    EXPECT_THAT(lines({.from = Seq{4}}), HasSubstr("seq=4 type=message topic=t/2"));
    EXPECT_THAT(lines({.from = Seq{4}}), Not(HasSubstr("seq=3")));
    EXPECT_THAT(lines({.to = Seq{1}}), Not(HasSubstr("seq=2")));
    EXPECT_THAT(lines({.topic = "+/1"}), Not(HasSubstr("t/2")));
    EXPECT_THAT(lines({.client = "c"}), Not(HasSubstr("type=message")));
    EXPECT_THAT(lines({.payload_bytes_max = 3}), HasSubstr("payload=one..."));
}

TEST_F(InspectTest, ABackupOfAnOpenStoreIsWhole) {
    const std::string copy = directory_.file("copy");
    is_random_ = true;
    Seq committed;
    with_engine(options(), [&](auto&, auto& sink, const auto& commit) {
        RandomTraffic traffic{5};
        for (int i = 0; i < 80; ++i) {
            commit({samples::logged("t", std::string(200, 'x')), traffic.next(sink.last())});
        }
        committed = sink.last();
        const auto report = back_up(store_, copy);
        ASSERT_TRUE(report.has_value()) << report.error().what;
        EXPECT_GT(report->segments, 2U);
        commit({samples::logged("t", "later")});
    });
    EXPECT_THAT(findings(copy), IsEmpty());
    SqliteEngineOptions restored = options();
    restored.directory = copy;
    with_engine(restored, [&](auto&, auto& sink, const auto& commit) {
        EXPECT_GT(sink.last().value(), committed.value() + (std::uint64_t{1} << 40U));
        commit({samples::logged("t", "after")});
    });
    EXPECT_THAT(findings(copy), IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
    EXPECT_FALSE(back_up(store_, copy).has_value()) << "there is something";
    EXPECT_THAT(findings(), IsEmpty());
}

/// The broker was killed when it began a file; another way to such files is in database_test.cpp.
TEST_F(InspectTest, ABackupGoesWithoutAFileThatWasNeverMade) {
    fill(1);
    const std::string path = store_ + "/log/00000000000000009999.db";
    const auto begin_a_file = [&] {
        std::ofstream{path} << std::string(4096, '\0');
        std::ofstream{path + "-journal"} << "is to be rolled back";
    };
    const std::string copy = directory_.file("copy");
    const std::string other = directory_.file("of a running broker");
    begin_a_file();
    const auto report = back_up(store_, copy);
    ASSERT_TRUE(report.has_value()) << report.error().what;
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-journal");
    with_engine(options(), [&](auto&, auto&, const auto&) {
        begin_a_file();
        const auto beside = back_up(store_, other);
        ASSERT_TRUE(beside.has_value()) << beside.error().what;
    });
    EXPECT_THAT(findings(copy), IsEmpty());
    EXPECT_THAT(findings(other), IsEmpty());
}

TEST_F(InspectTest, ABackupThatFailsLeavesNothing) {
    fill(1);
    std::filesystem::resize_file(segment_files()[1], 100);
    const std::string copy = directory_.file("copy");
    EXPECT_FALSE(back_up(store_, copy).has_value());
    EXPECT_FALSE(std::filesystem::exists(copy));
    EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
}

}  // namespace
}  // namespace stentor::store
