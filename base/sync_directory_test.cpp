#include "base/sync_directory.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace stentor {
namespace {

TEST(SyncDirectory, SyncsADirectory) { EXPECT_TRUE(sync_directory(".").has_value()); }

TEST(SyncDirectory, SaysWhatTheSystemSays) {
    const auto missing = sync_directory("/there/is/no/such/directory");
    ASSERT_TRUE(missing.has_error());
    EXPECT_EQ(missing.error().value(), ENOENT);
    const auto file = sync_directory("/proc/self/status");
    ASSERT_TRUE(file.has_error());
    EXPECT_EQ(file.error().value(), ENOTDIR);
}

}  // namespace
}  // namespace stentor
