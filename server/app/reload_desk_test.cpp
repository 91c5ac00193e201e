#include "server/app/reload_desk.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <vector>

namespace stentor::app {
namespace {

using Outcome = admin::ReloadReport::Outcome;

bool is_readable(const ReloadDesk& desk) {
    pollfd look{.fd = desk.descriptor(), .events = POLLIN, .revents = 0};
    return ::poll(&look, 1, 0) == 1;
}

TEST(ReloadDesk, OneReloadIsForAllWhoHaveAskedBefore) {
    ReloadDesk desk;
    std::vector<Outcome> told;
    const auto ask = [&] {
        desk.ask([&](const admin::ReloadReport& report) { told.push_back(report.outcome); });
    };
    int reloads = 0;
    const auto reload = [&] {
        if (++reloads == 1) ask();  // too late for this one
        return admin::ReloadReport{.outcome = Outcome::applied};
    };
    EXPECT_FALSE(is_readable(desk));
    desk.serve(reload);
    EXPECT_EQ(reloads, 0);
    ask();
    ask();
    EXPECT_TRUE(is_readable(desk));
    desk.serve(reload);
    EXPECT_EQ(reloads, 1);
    EXPECT_EQ(told, (std::vector{Outcome::applied, Outcome::applied}));
    EXPECT_TRUE(is_readable(desk));
    desk.serve(reload);
    EXPECT_EQ(reloads, 2);
    EXPECT_EQ(told.size(), 3U);
    EXPECT_FALSE(is_readable(desk));
}

TEST(ReloadDesk, WhoAsksInTheEndIsTold) {
    ReloadDesk desk;
    std::vector<Outcome> told;
    const auto ask = [&] {
        desk.ask([&](const admin::ReloadReport& report) { told.push_back(report.outcome); });
    };
    ask();
    desk.close();
    ask();
    EXPECT_EQ(told, (std::vector{Outcome::stopping, Outcome::stopping}));
}

}  // namespace
}  // namespace stentor::app
