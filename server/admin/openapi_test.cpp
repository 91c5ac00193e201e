#include "server/admin/openapi.hpp"

#include "server/admin/api.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace stentor::admin {
namespace {

namespace json = boost::json;

/// Every "$ref" below `value`.
void collect_references(const json::value& value, std::set<std::string>& to) {
    if (value.is_array()) {
        for (const json::value& each : value.get_array()) collect_references(each, to);
    }
    if (!value.is_object()) return;
    for (const auto& [key, each] : value.get_object()) {
        if (key == "$ref") to.insert(std::string{each.as_string()});
        collect_references(each, to);
    }
}

class OpenapiTest : public testing::Test {
  public:
    std::vector<RouteInfo> routes = Api::routes();
    json::object document = openapi_document(routes, "1.2.3");
    const json::object& paths = document.at("paths").as_object();
};

TEST_F(OpenapiTest, HasEveryRouteAndNothingElse) {
    EXPECT_EQ(document.at("openapi"), "3.1.0");
    EXPECT_EQ(document.at("info").at("version"), "1.2.3");
    std::size_t operations = 0;
    for (const auto& path : paths) operations += path.value().as_object().size();
    EXPECT_EQ(operations, routes.size());
    for (const RouteInfo& route : routes) {
        ASSERT_TRUE(paths.contains(documented_path(route.path))) << route.path;
    }
    EXPECT_TRUE(paths.at("/v1/clients/{id}").as_object().contains("delete"));
    EXPECT_TRUE(paths.at("/v1/clients/{id}").as_object().contains("get"));
    EXPECT_TRUE(paths.at("/v1/publish/{topic}").as_object().contains("post"));
}

TEST_F(OpenapiTest, EveryReferenceIsDefinedAndEverySchemaUsed) {
    std::set<std::string> references;
    collect_references(document, references);
    const json::object& schemas = document.at("components").at("schemas").as_object();
    for (const std::string& each : references) {
        constexpr std::string_view kWhere = "#/components/schemas/";
        ASSERT_TRUE(each.starts_with(kWhere)) << each;
        EXPECT_TRUE(schemas.contains(each.substr(kWhere.size()))) << each;
    }
    EXPECT_EQ(references.size(), schemas.size());
}

TEST_F(OpenapiTest, PathsAndParametersAgree) {
    for (const RouteInfo& route : routes) {
        const std::string path = documented_path(route.path);
        std::size_t in_path = 0;
        for (const Parameter& each : route.parameters) {
            EXPECT_FALSE(each.description.empty()) << path;
            if (each.in != ParameterIn::path) continue;
            ++in_path;
            EXPECT_NE(path.find('{' + std::string{each.name} + '}'), std::string::npos) << path;
        }
        EXPECT_EQ(in_path, path.find('{') == std::string::npos ? 0U : 1U) << path;
        EXPECT_FALSE(route.summary.empty()) << path;
    }
}

TEST_F(OpenapiTest, SaysWhoMayAndWhatIsAnswered) {
    const json::object& kick = paths.at("/v1/clients/{id}").at("delete").as_object();
    for (const char* status : {"204", "400", "401", "403", "404", "429", "503"}) {
        EXPECT_TRUE(kick.at("responses").as_object().contains(status)) << status;
    }
    EXPECT_FALSE(kick.at("responses").at("204").as_object().contains("content"));
    EXPECT_EQ(kick.at("security").as_array().size(), 2U);
    EXPECT_TRUE(paths.at("/livez").at("get").at("security").as_array().empty());
    EXPECT_EQ(
        json::serialize(paths.at("/v1/publish").at("post").at("responses").at("207").at("content")),
        R"({"application/json":{"schema":{"$ref":"#/components/schemas/PublishAnswer"}}})");
}

}  // namespace
}  // namespace stentor::admin
