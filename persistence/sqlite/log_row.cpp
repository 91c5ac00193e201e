#include "persistence/sqlite/log_row.hpp"

#include "base/hash.hpp"
#include "base/log.hpp"
#include "persistence/record_codec.hpp"

#include <chrono>
#include <utility>

namespace stentor::store {
namespace {

constexpr std::byte kVersion{1};
constexpr std::size_t kChecksumAt = 1;
constexpr std::size_t kCheckedFrom = 9;
constexpr std::size_t kHeaderBytes = kCheckedFrom + 8 + 4 + 8 + 8;

// Detects damage, not malice; the key only has to stay the same for ever.
constexpr HashKey kChecksumKey{.k0 = 0x53'74'65'6e'74'6f'72'00U, .k1 = 0x6c'6f'67'20'72'6f'77'00U};

[[nodiscard]] std::uint64_t checksum(ByteView row) noexcept {
    return sip_hash<1, 3>(kChecksumKey, row.subspan(kCheckedFrom));
}

}  // namespace

LogRowWriter::LogRowWriter(const LogRowHeader& header)
    : header_{header}, bytes_(kHeaderBytes, std::byte{0}) {
    header_.count = 0;
}

void LogRowWriter::add(const Record& record) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(std::uint32_t));
    encode_record(record, bytes_);
    const std::size_t size = bytes_.size() - at - sizeof(std::uint32_t);
    store_u32(MutableByteView{bytes_}.subspan(at), static_cast<std::uint32_t>(size));
    ++header_.count;
}

Bytes LogRowWriter::take() {
    STENTOR_ASSERT(header_.count != 0, "a row has at least one record");
    const MutableByteView row{bytes_};
    row[0] = kVersion;
    store_u64(row.subspan(9), header_.first.value());
    store_u32(row.subspan(17), header_.count);
    store_u64(row.subspan(21), static_cast<std::uint64_t>(header_.at.time_since_epoch().count()));
    store_u64(row.subspan(29), static_cast<std::uint64_t>(header_.wall_unix_ms));
    store_u64(row.subspan(kChecksumAt), checksum(row));
    return std::move(bytes_);
}

Result<LogRow> LogRow::parse(ByteView bytes) {
    if (bytes.size() < kHeaderBytes) return StoreErrc::damaged;
    if (bytes[0] > kVersion) return StoreErrc::newer_version;
    if (bytes[0] != kVersion || load_u64(bytes.subspan(kChecksumAt)) != checksum(bytes)) {
        return StoreErrc::damaged;
    }
    LogRowHeader header;
    header.first = Seq{load_u64(bytes.subspan(9))};
    header.count = load_u32(bytes.subspan(17));
    header.at = Instant{Duration{static_cast<Duration::rep>(load_u64(bytes.subspan(21)))}};
    header.wall_unix_ms = static_cast<std::int64_t>(load_u64(bytes.subspan(29)));
    if (header.count == 0) return StoreErrc::damaged;
    return LogRow{header, bytes.subspan(kHeaderBytes)};
}

Result<Record> LogRow::record(Seq seq) const {
    STENTOR_ASSERT(header_.first <= seq && seq <= header_.last(), "not in this row");
    ByteView found;
    STENTOR_TRY_VOID(for_each([&](Seq at, ByteView bytes) {
        found = bytes;
        return at != seq;
    }));
    return parse_stored(found);
}

StoreErrc store_error(const RecordError& error) {
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(monotonic_now())) {
        STENTOR_LOG(error,
                    LogEvent("store_damaged", {{"suppressed", pass.suppressed}}),
                    "a record of the log: {}",
                    to_string(error));
    }
    const bool newer = error.reason == RecordError::Reason::newer_version;
    return newer ? StoreErrc::newer_version : StoreErrc::damaged;
}

Result<Record> parse_stored(ByteView bytes) {
    auto record = parse_record(bytes);
    if (record) return *std::move(record);
    return store_error(record.error());
}

}  // namespace stentor::store
