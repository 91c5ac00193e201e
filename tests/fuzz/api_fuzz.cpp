// What stands in the target of a request to the HTTP API: any path, query and cursor is understood
// or refused, and what is understood can be written again. The first byte chooses which it is.

#include "base/assert.hpp"
#include "server/admin/cursors.hpp"
#include "server/admin/query.hpp"
#include "server/admin/route.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <string>
#include <string_view>

namespace {

using namespace stentor;
using namespace stentor::admin;

constexpr std::array<std::string_view, 4> kKnown{"limit", "after", "connected", "filter"};
constexpr std::uint32_t kRun = 9;

void check(const Mistake& mistake) {
    STENTOR_ASSERT(!mistake.error.empty() && !mistake.code.empty());
    STENTOR_ASSERT(!error_reply(mistake).body.empty());
}

void try_query(std::string_view text) {
    const auto query = Query::of("/x?" + std::string{text}, kKnown);
    if (!query) return check(query.error());
    const auto number = query->number("limit", 100, 1, 1000);
    if (!number) return check(number.error());
    STENTOR_ASSERT(*number >= 1 && *number <= 1000);
    const auto flag = query->flag("connected");
    if (!flag) return check(flag.error());
}

void try_path(std::string_view text) {
    for (const std::string_view pattern : {"/v1/clients/{id}/subscriptions", "/v1/{topic...}"}) {
        const auto value = path_value(pattern, text);
        if (!value) continue;
        STENTOR_ASSERT(text.find(*value) != std::string_view::npos);
    }
    const auto decoded = percent_decoded(text);
    if (decoded) STENTOR_ASSERT(percent_decoded(percent_encoded(*decoded)) == decoded);
}

void try_cursor(std::string_view text) {
    Cursors cursors{kRun};
    if (const auto place = cursors.place('c', text)) {
        const auto again = cursors.place('c', cursors.of('c', *place));
        STENTOR_ASSERT(again && again->shard == place->shard && again->at.slot == place->at.slot &&
                       again->at.next_text == place->at.next_text);
    } else {
        check(place.error());
    }
    if (const auto topic = cursors.topic('r', text)) {
        STENTOR_ASSERT(*cursors.topic('r', cursors.of_topic('r', *topic)) == *topic);
    } else {
        check(topic.error());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    switch (data[0]) {
        case 'q':
            try_query(text);
            break;
        case 'p':
            try_path(text);
            break;
        default:
            try_cursor(text);
    }
    return 0;
}
