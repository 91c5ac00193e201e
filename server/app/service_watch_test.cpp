#include "server/app/service_watch.hpp"

#include "server/app/service_manager.hpp"

#include <gtest/gtest.h>

namespace stentor::app {
namespace {

using admin::Readiness;

TEST(StatusLine, SaysWhoIsServedAndWhereDataIs) {
    ServiceFacts facts{.readiness = Readiness::ready, .doors = 3, .clients = 12, .shards = 2};
    facts.sessions_away = 1;
    facts.log_bytes = 5 << 19U;
    EXPECT_EQ(status_line(facts),
              "12 clients on 3 listeners, 1 session away; store open, 2.5 MiB of log");
    facts.log_bytes.reset();
    facts.doors = 1;
    EXPECT_EQ(status_line(facts),
              "12 clients on 1 listener, 1 session away; nothing is kept on disk");
}

TEST(StatusLine, NamesSilentShardsWhileClientsAreServed) {
    ServiceFacts facts{.readiness = Readiness::ready, .doors = 1, .shards = 2};
    facts.silent = 1;
    facts.silent_seconds = 4;
    EXPECT_TRUE(status_line(facts).starts_with("1 of 2 shards not answering for 4 s; 0 clients"));
    facts.readiness = Readiness::stopping;
    EXPECT_EQ(status_line(facts), "stopping; 0 clients left");
}

TEST(StatusLine, SaysWhyNobodyIsServed) {
    ServiceFacts facts;
    EXPECT_EQ(status_line(facts), "starting: the store is being opened");
    facts.readiness = Readiness::waiting_for_disk;
    EXPECT_NE(status_line(facts).find("no room on the disk"), std::string::npos);
    facts.readiness = Readiness::store_failed;
    EXPECT_NE(status_line(facts).find("the store has failed"), std::string::npos);
}

TEST(ServiceManager, AStatusIsOneLine) {
    EXPECT_EQ(service_manager::status("a\nb"), "STATUS=a b\n");
}

}  // namespace
}  // namespace stentor::app
