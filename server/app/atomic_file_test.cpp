#include "server/app/atomic_file.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/stat.h>

namespace stentor::app {
namespace {

std::string content(const std::string& path) {
    std::ifstream file{path};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

unsigned mode(const std::string& path) {
    struct stat facts {};
    EXPECT_EQ(::stat(path.c_str(), &facts), 0);
    return facts.st_mode & 0777U;
}

TEST(ReplaceFile, MakesAFileForItsOwnerOnly) {
    const kit::TempDir dir;
    ASSERT_TRUE(replace_file(dir.file("new"), "text").has_value());
    EXPECT_EQ(content(dir.file("new")), "text");
    EXPECT_EQ(mode(dir.file("new")), 0600U);
}

TEST(ReplaceFile, KeepsTheGroupsRightsAndTakesThoseOfOthers) {
    const kit::TempDir dir;
    const std::string path = dir.write("old", "before");
    ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
    ASSERT_TRUE(replace_file(path, "after").has_value());
    EXPECT_EQ(content(path), "after");
    EXPECT_EQ(mode(path), 0640U);
}

TEST(ReplaceFile, FollowsASymbolicLink) {
    const kit::TempDir dir;
    const std::string path = dir.write("real", "before");
    std::filesystem::create_symlink(path, dir.file("link"));
    ASSERT_TRUE(replace_file(dir.file("link"), "after").has_value());
    EXPECT_TRUE(std::filesystem::is_symlink(dir.file("link")));
    EXPECT_EQ(content(path), "after");
}

TEST(ReplaceFile, LeavesNothingBehindWhenItFails) {
    const kit::TempDir dir;
    const auto failed = replace_file(dir.file("no/such/directory"), "text");
    ASSERT_TRUE(failed.has_error());
    EXPECT_NE(failed.error().find("No such file or directory"), std::string::npos);
    std::filesystem::create_directory(dir.file("taken"));
    EXPECT_TRUE(replace_file(dir.file("taken"), "text").has_error());
    for (const auto& entry : std::filesystem::directory_iterator{dir.path()}) {
        EXPECT_EQ(entry.path().filename(), "taken");
    }
}

}  // namespace
}  // namespace stentor::app
