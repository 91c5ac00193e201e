#include "persistence/store_error.hpp"

#include <gtest/gtest.h>

namespace stentor::store {
namespace {

TEST(StoreError, EveryCodeHasItsOwnText) {
    EXPECT_EQ(make_error_code(StoreErrc::store_full).message(), "the store has reached its bound");
    EXPECT_EQ(make_error_code(StoreErrc::damaged).message(), "stored data is damaged");
    EXPECT_EQ(make_error_code(static_cast<StoreErrc>(99)).message(), "unknown store error 99");
}

TEST(StoreError, ComparesWithItsEnumerators) {
    const boost::system::error_code error = StoreErrc::commit_failed;
    EXPECT_TRUE(error.failed());
    EXPECT_EQ(error, StoreErrc::commit_failed);
    EXPECT_NE(error, StoreErrc::io_error);
}

}  // namespace
}  // namespace stentor::store
