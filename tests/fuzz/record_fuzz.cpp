// Any bytes are a record or an error; a record is written and read again without a change.

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "persistence/record_codec.hpp"
#include "persistence/state/stored_state.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

using namespace stentor;  // NOLINT(google-build-using-namespace): a test program

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes = std::as_bytes(std::span{data, size});
    const auto parsed = store::parse_record(bytes);
    if (!parsed) {
        STENTOR_ASSERT(parsed.error().offset <= size);
        STENTOR_ASSERT(!store::to_string(parsed.error()).empty());
        return 0;
    }
    Bytes written;
    store::encode_record(*parsed, written);
    STENTOR_ASSERT(equal(written, bytes), "equal records have equal bytes");
    const auto parsed_again = store::parse_record(written);
    STENTOR_ASSERT(parsed_again.has_value());
    STENTOR_ASSERT(store::record_bytes(*parsed) == store::record_bytes(*parsed_again));

    store::Attached attached;
    attached.client = "c";
    store::StoredState state;
    state.apply(Seq{1}, attached);
    state.apply(Seq{2}, *parsed);
    state.apply(Seq{3}, *parsed_again);
    return 0;
}
