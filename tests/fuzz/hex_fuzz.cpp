// Hex goes both ways: what from_hex() accepts, to_hex() writes back to the same bytes.

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const stentor::ByteView input = std::as_bytes(std::span{data, size});
    if (const auto bytes = stentor::from_hex(stentor::as_text(input))) {
        STENTOR_ASSERT(bytes->size() <= size / 2);
        STENTOR_ASSERT(stentor::from_hex(stentor::to_hex(*bytes, " ")) == bytes);
    }
    const auto again = stentor::from_hex(stentor::to_hex(input));
    STENTOR_ASSERT(again && stentor::equal(*again, input));
    return 0;
}
