#pragma once
// Records to bytes and back, as docs/formats/record.md describes them: what disk engines store.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "persistence/record.hpp"

#include <boost/assert/source_location.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::store {

/// Why bytes are not a record.
struct RecordError {
    enum class Reason : std::uint8_t {
        truncated,      // the bytes end within `field`
        bad_value,      // `field` has a value that no version of ours writes
        trailing,       // bytes after the end of the record; `field` is "record"
        newer_version,  // written by a later Stentor; `field` is "version"
    };
    Reason reason = Reason::bad_value;
    std::string_view field;  // a literal
    std::size_t offset = 0;  // how far reading had come
    friend bool operator==(const RecordError&, const RecordError&) = default;
};

/// One sentence for a log line: "attached.user: the record ends within this field (at byte 17)".
[[nodiscard]] std::string to_string(const RecordError& error);

/// What value() of a failed Result does (see base/result.hpp).
[[noreturn]] void throw_exception_from_error(const RecordError& error,
                                             const boost::source_location& at);

/// Appends the stored form of `record` to `out`.
void encode_record(const Record& record, Bytes& out);

/// Reads one record that fills `bytes` exactly; the record owns what it holds. Never reads past the
/// end, and allocates no more than a small multiple of `bytes`.
[[nodiscard]] Result<Record, RecordError> parse_record(ByteView bytes);

/// What decides whether a reader wants a message.
struct StoredMessageHead {
    std::string_view topic;  // borrows the record's bytes
    bool for_durable_sessions = false;
};

/// The head of a record that is a message, nothing for the others, without a look at the rest:
/// parse_record() may still fail.
[[nodiscard]] Result<std::optional<StoredMessageHead>, RecordError> parse_message_head(
    ByteView bytes);

}  // namespace stentor::store
