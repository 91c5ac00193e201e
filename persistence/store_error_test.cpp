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

TEST(StoreError, WhatMayPassAndWhatIsOfTheDisk) {
    const auto passes = [](StoreErrc code) { return is_passing(code); };
    const auto is_of_the_disk = [](StoreErrc code) { return store::is_of_the_disk(code); };
    EXPECT_TRUE(passes(StoreErrc::store_full) && is_of_the_disk(StoreErrc::store_full));
    EXPECT_TRUE(passes(StoreErrc::no_descriptors) && !is_of_the_disk(StoreErrc::no_descriptors));
    for (const StoreErrc unknown : {StoreErrc::full_in_doubt, StoreErrc::disk_error}) {
        EXPECT_FALSE(passes(unknown)) << "nobody knows what the disk holds";
        EXPECT_TRUE(is_of_the_disk(unknown));
    }
    EXPECT_FALSE(passes(StoreErrc::io_error) || is_of_the_disk(StoreErrc::io_error));
    EXPECT_FALSE(passes(StoreErrc::damaged) || is_of_the_disk(StoreErrc::damaged));
}

}  // namespace
}  // namespace stentor::store
