#include "persistence/sqlite/log_row.hpp"

#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace stentor::store {
namespace {

Bytes row_of(const std::vector<Record>& records) {
    LogRowWriter writer{
        {.first = Seq{7}, .at = Instant{Duration{-5}}, .wall_unix_ms = 1'700'000'000'000}};
    for (const Record& record : records) writer.add(record);
    return writer.take();
}

TEST(LogRow, GivesBackWhatWasWritten) {
    const std::vector<Record> records{
        samples::logged("a"), samples::attached("c"), samples::logged("b", "payload")};
    const Bytes bytes = row_of(records);
    const auto row = LogRow::parse(bytes);
    ASSERT_TRUE(row.has_value());
    EXPECT_EQ(row->header().first, Seq{7});
    EXPECT_EQ(row->header().last(), Seq{9});
    EXPECT_EQ(row->header().at, Instant{Duration{-5}});
    EXPECT_EQ(row->header().wall_unix_ms, 1'700'000'000'000);
    for (std::size_t i = 0; i < records.size(); ++i) {
        const auto record = row->record(Seq{7 + i});
        ASSERT_TRUE(record.has_value());
        EXPECT_EQ(samples::encoded(*record), samples::encoded(records[i]));
    }
}

TEST(LogRow, EveryFlippedBitIsSeen) {
    Bytes bytes = row_of({samples::logged("topic", "payload")});
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        const std::byte mask = std::byte{1} << (bit % 8);
        bytes[bit / 8] ^= mask;
        EXPECT_FALSE(LogRow::parse(bytes).has_value()) << "bit " << bit;
        bytes[bit / 8] ^= mask;
    }
}

TEST(LogRow, EveryTruncationIsSeen) {
    const Bytes bytes = row_of({samples::logged("topic", "payload")});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(LogRow::parse(ByteView{bytes}.first(size)).error(), StoreErrc::damaged);
    }
}

TEST(LogRow, ANewerFormIsNamedAsSuch) {
    Bytes bytes = row_of({samples::logged("t")});
    bytes[0] = std::byte{2};
    EXPECT_EQ(LogRow::parse(bytes).error(), StoreErrc::newer_version);
}

}  // namespace
}  // namespace stentor::store
