// Every row of the tables against the real binary, whose path CMake passes in. One test per row.

#include "tests/conformance/driver_real.hpp"
#include "tests/conformance/script.hpp"
#include "tests/conformance/table.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor::conformance {

// For GoogleTest's messages.
std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << row.table << ".txt:" << row.line << " " << row.title;
}

namespace {

const std::vector<Row>& all_rows() {
    static const std::vector<Row> rows = load_tables(STENTOR_SOURCE_DIR "/tests/conformance");
    return rows;
}

class RealBinary : public testing::TestWithParam<Row> {};

TEST_P(RealBinary, Conforms) {
    const Row& row = GetParam();
    const auto driver = make_real_driver(STENTOR_BINARY);
    for (const std::string& need : row.needs) {
        if (!driver->offers().contains(need)) GTEST_SKIP() << "needs " << need;
    }
    const auto broker = driver->start(row);
    try {
        Script{row, *broker}.run();
    } catch (const StepFailed& failed) {
        FAIL() << failed.what() << "\n\nThe broker's log:\n" << broker->log();
    }
}

INSTANTIATE_TEST_SUITE_P(Conformance,
                         RealBinary,
                         testing::ValuesIn(all_rows()),
                         [](const auto& tested) { return tested.param.test_name(); });

}  // namespace
}  // namespace stentor::conformance
