// Every row of the tables, one test each, with the driver this program was linked with.

#include "tests/conformance/driver.hpp"
#include "tests/conformance/script.hpp"
#include "tests/conformance/table.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace stentor::conformance {

// For GoogleTest's messages.
std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << row.table << ".txt:" << row.line << " " << row.title;
}

namespace {

// Those that this program's driver can run. Which ones it cannot is the same in every run, so they
// are no tests here rather than skipped ones; table_test.cpp sees to it that each runs somewhere.
std::vector<Row> rows_to_run() {
    std::vector<Row> rows = load_tables(STENTOR_SOURCE_DIR "/tests/conformance");
    const auto driver = make_driver();
    std::erase_if(rows, [&](const Row& row) { return !driver->cannot_run(row).empty(); });
    return rows;
}

class Rows : public testing::TestWithParam<Row> {};

TEST_P(Rows, Conform) {
    const Row& row = GetParam();
    const auto driver = make_driver();
    for (unsigned run = 0; run < driver->runs(); ++run) {
        const auto broker = driver->start(row, run);
        try {
            Script{row, *broker}.run();
        } catch (const StepFailed& failed) {
            FAIL() << failed.what() << "\n\n(run " << run << ") The broker's log:\n"
                   << broker->log();
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Conformance,
                         Rows,
                         testing::ValuesIn(rows_to_run()),
                         [](const auto& tested) { return tested.param.test_name(); });

}  // namespace
}  // namespace stentor::conformance
