#include "persistence/record.hpp"

#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::store {
namespace {

TEST(Record, CostsWhatItHolds) {
    const std::size_t small = record_bytes(samples::logged("t", "x"));
    const std::size_t large = record_bytes(samples::logged("t", std::string(1000, 'x')));
    EXPECT_GE(large, small + 999);
    EXPECT_GE(record_bytes(SessionEnded{.client = std::string(100, 'c')}), 100U);
}

}  // namespace
}  // namespace stentor::store
