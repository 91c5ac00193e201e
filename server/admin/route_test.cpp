#include "server/admin/route.hpp"

#include <gtest/gtest.h>

namespace stentor::admin {
namespace {

TEST(Route, APathWithoutBracesIsItself) {
    EXPECT_EQ(path_value("/livez", "/livez"), "");
    EXPECT_FALSE(path_value("/livez", "/livez/"));
    EXPECT_FALSE(path_value("/livez", "/live"));
}

TEST(Route, ABraceIsOneSegment) {
    EXPECT_EQ(path_value("/v1/clients/{id}", "/v1/clients/a%2Fb"), "a%2Fb");
    EXPECT_FALSE(path_value("/v1/clients/{id}", "/v1/clients/"));
    EXPECT_FALSE(path_value("/v1/clients/{id}", "/v1/clients"));
    EXPECT_FALSE(path_value("/v1/clients/{id}", "/v1/clients/a/b"));
    EXPECT_EQ(path_value("/v1/clients/{id}/subscriptions", "/v1/clients/a/subscriptions"), "a");
    EXPECT_FALSE(path_value("/v1/clients/{id}/subscriptions", "/v1/clients/subscriptions"));
    EXPECT_FALSE(path_value("/v1/clients/{id}/subscriptions", "/v1/clients//subscriptions"));
    EXPECT_FALSE(path_value("/v1/clients/{id}/subscriptions", "/v1/clients/a/subscription"));
}

TEST(Route, DotsInABraceTakeTheRest) {
    EXPECT_EQ(path_value("/v1/publish/{topic...}", "/v1/publish/a/b/"), "a/b/");
    EXPECT_EQ(path_value("/v1/publish/{topic...}", "/v1/publish/"), "");
    EXPECT_FALSE(path_value("/v1/publish/{topic...}", "/v1/publish"));
    EXPECT_EQ(documented_path("/v1/publish/{topic...}"), "/v1/publish/{topic}");
    EXPECT_EQ(documented_path("/v1/clients/{id}"), "/v1/clients/{id}");
}

}  // namespace
}  // namespace stentor::admin
