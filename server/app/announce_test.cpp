#include "server/app/announce.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::app {
namespace {

bool says(const config::Options& options, std::string_view text) {
    return welcome_box(options).find(text) != std::string::npos;
}

TEST(WelcomeBox, SaysWhoCanConnectAndWhereDataGoes) {
    config::Options options;
    EXPECT_TRUE(says(options, "Only this machine can connect; no password is needed."));
    EXPECT_TRUE(says(options, "Data is kept in ./stentor-data."));
    options.node.data_dir = ":memory:";
    EXPECT_TRUE(says(options, "Nothing is kept on disk."));
    options.listeners[0].url.host = "0.0.0.0";
    EXPECT_TRUE(says(options, "Clients from other machines are refused: there are no users."));
    options.auth.password_file = "users";
    EXPECT_TRUE(says(options, "Clients from other machines need a user name and password."));
    options.auth.anonymous = config::AnonymousPolicy::always;
    EXPECT_TRUE(says(options, "Everybody who reaches it may connect."));
}

TEST(WelcomeBox, IsABox) {
    const std::string box = welcome_box({});
    const std::size_t width = box.find('\n');
    for (std::size_t at = 0; at < box.size(); at += width + 1) EXPECT_EQ(box[at + width], '\n');
}

}  // namespace
}  // namespace stentor::app
