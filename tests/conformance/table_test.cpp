// The reader of the tables, and the tables themselves: every row can be read and assembled.

#include "tests/conformance/table.hpp"

#include "tests/conformance/packet_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace stentor::conformance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refused(std::string_view text) {
    try {
        (void)parse_table("v5/t", text);
    } catch (const BadTable& bad) {
        return bad.what();
    }
    return "accepted";
}

TEST(ConformanceTable, ReadsHeadDirectivesAndSteps) {
    const auto rows = parse_table("v311/t",
                                  "# comment\n"
                                  "== a title | 3.1.0-1 house\n"
                                  "set limits.x=1KiB\n"
                                  "file acl: user u\n"
                                  "file acl: topic t\n"
                                  "needs acl\n"
                                  "\n"
                                  "a> CONNECT id=\";;\" ;; PINGREQ\n"
                                  "a|b<= PUBLISH t=t || PUBLISH t=u\n"
                                  "+90s\n"
                                  "a. close\n");
    ASSERT_EQ(rows.size(), 1U);
    const Row& row = rows[0];
    EXPECT_EQ(row.title, "a title");
    EXPECT_EQ(row.level, 4);
    EXPECT_THAT(row.clauses, ElementsAre("3.1.0-1", "house"));
    EXPECT_EQ(row.settings[0].second, "1KiB");
    EXPECT_EQ(row.files.at("acl"), "user u\ntopic t\n");
    EXPECT_THAT(row.needs, ElementsAre("acl", "clock"));
    ASSERT_EQ(row.steps.size(), 4U);
    EXPECT_THAT(row.steps[0].packets, ElementsAre("CONNECT id=\";;\"", "PINGREQ"));
    EXPECT_EQ(row.steps[1].kind, Step::Kind::expect_acked);
    EXPECT_THAT(row.steps[1].clients, ElementsAre("a", "b"));
    EXPECT_THAT(row.steps[1].packets, ElementsAre("PUBLISH t=t", "PUBLISH t=u"));
    EXPECT_EQ(row.steps[2].by, std::chrono::seconds{90});
    EXPECT_EQ(row.steps[3].kind, Step::Kind::close);
    EXPECT_EQ(row.test_name(), "v311_t_3_1_0_1_a_title");
}

TEST(ConformanceTable, SaysWhereItIsWrong) {
    EXPECT_THAT(refused("\n== no clause\n"), HasSubstr("v5/t.txt:2"));
    EXPECT_THAT(refused("== t |\n"), HasSubstr("at least one clause"));
    EXPECT_THAT(refused("a> PINGREQ\n"), HasSubstr("before the first row"));
    EXPECT_THAT(refused("== t | house\nA> PINGREQ\n"), HasSubstr("client's name"));
    EXPECT_THAT(refused("== t | house\na. clos\n"), HasSubstr("expected close"));
    EXPECT_THAT(refused("== t | house\n+5\n"), HasSubstr("duration"));
    EXPECT_THAT(refused("== t | house\nneeds luck\n"), HasSubstr("luck"));
    EXPECT_THAT(refused("== t | house\nneeds acl sim\n"), HasSubstr("nowhere"));
    EXPECT_THAT(refused("== t | house\na|b> PINGREQ\n"), HasSubstr("several clients"));
}

TEST(ConformanceTables, NamesAreUnique) {
    std::set<std::string> names;
    for (const Row& row : load_tables(STENTOR_SOURCE_DIR "/tests/conformance")) {
        EXPECT_TRUE(names.insert(row.test_name()).second) << row.test_name();
    }
    EXPECT_GT(names.size(), 600U);
}

// Sends each packet of a row in thought: it assembles, and every expectation parses.
void check_row(const Row& row) {
    std::map<std::string, int> levels;
    const Variables numbers{{"$m", "1"}, {"$1", "1"}, {"$2", "2"}, {"$3", "3"}, {"$id", "x"}};
    for (const Step& step : row.steps) {
        for (const std::string& text : step.packets) {
            const PacketText packet = parse_packet(text);
            const bool sent = step.kind == Step::Kind::send ||
                              step.kind == Step::Kind::send_bytewise ||
                              step.kind == Step::Kind::complete;
            if (!sent) continue;
            int& level = levels.try_emplace(step.clients[0], row.level).first->second;
            if (packet.name == "CONNECT") level = row.level;
            const Octets octets = assemble(packet, level, step.clients[0], numbers);
            if (const auto seen = glance_at_client(level, octets)) level = seen->level;
        }
    }
}

TEST(ConformanceTables, EveryPacketCanBeRead) {
    for (const Row& row : load_tables(STENTOR_SOURCE_DIR "/tests/conformance")) {
        EXPECT_NO_THROW(check_row(row)) << row.table << ".txt:" << row.line << " " << row.title;
    }
}

}  // namespace
}  // namespace stentor::conformance
