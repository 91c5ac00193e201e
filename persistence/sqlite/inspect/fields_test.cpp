#include "persistence/sqlite/inspect/fields.hpp"

#include <gtest/gtest.h>

namespace stentor::store {
namespace {

Fields sample() {
    Fields item;
    item.add("id", 1);
    Fields fields;
    fields.add("seq", std::uint64_t{7})
        .add("topic", "a/b")
        .add("user", "two \"words\"\n")
        .add("empty", "")
        .add("retain", true)
        .add("items", std::vector<Fields>{item, item});
    return fields;
}

TEST(StoreFields, AreALineOfText) {
    EXPECT_EQ(sample().text(),
              "seq=7 topic=a/b user=\"two \\\"words\\\"\\u000a\" empty=\"\" retain=true "
              "items=[id=1][id=1]");
}

TEST(StoreFields, AreAJsonObject) {
    EXPECT_EQ(sample().json(),
              "{\"seq\":7,\"topic\":\"a/b\",\"user\":\"two \\\"words\\\"\\u000a\",\"empty\":\"\","
              "\"retain\":true,\"items\":[{\"id\":1},{\"id\":1}]}");
}

TEST(StoreFields, AreABlockWithItsListsBehind) {
    EXPECT_EQ(sample().block(),
              "seq     7\ntopic   a/b\nuser    \"two \\\"words\\\"\\u000a\"\nempty   \"\"\n"
              "retain  true\nitems\n  id=1\n  id=1\n");
}

TEST(StoreFields, PayloadsAreShownInPrintableAsciiOnly) {
    EXPECT_EQ(excerpt(as_bytes("abc\n\x1b[1m"), 100), "abc..[1m");
    EXPECT_EQ(excerpt(as_bytes("abcdef"), 3), "abc...");
    EXPECT_EQ(excerpt({}, 3), "");
}

}  // namespace
}  // namespace stentor::store
