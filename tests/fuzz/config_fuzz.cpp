// Configuration: any text is read or refused with places that exist, and what was read can be
// written and read again. The first line also goes through --set and --listen.

#include "base/assert.hpp"
#include "server/config/document.hpp"
#include "server/config/load.hpp"
#include "server/config/options_table.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace stentor::config;

void check_document(std::string_view text) {
    Options options;
    Origins origins;
    std::vector<Diagnostic> errors;
    read_document(text, "fuzz.toml", options, origins, errors);
    for (const Diagnostic& error : errors) {
        STENTOR_ASSERT(!error.what.empty() && error.place.line != 0);
        STENTOR_ASSERT(!render(error).empty());
    }
    if (!errors.empty()) return;
    STENTOR_ASSERT(changes(options, options).empty());
    for (const Key& key : keys()) {
        if (!key.of_listener()) STENTOR_ASSERT(!format_value(key, options).empty());
    }
}

void check_url(std::string_view text) {
    const auto url = parse_listen_url(text);
    if (!url) {
        STENTOR_ASSERT(url.error().offset + url.error().length <= text.size());
        return;
    }
    const auto again = parse_listen_url(to_string(*url));
    STENTOR_ASSERT(again && *again == *url);
}

void check_units(std::string_view text) {
    if (const auto size = parse_size(text)) {
        STENTOR_ASSERT(*parse_size(format_size(*size)) == *size);
    }
    if (const auto duration = parse_duration(text)) {
        STENTOR_ASSERT(*parse_duration(format_duration(*duration)) == *duration);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text{reinterpret_cast<const char*>(data), size};
    const std::string line = text.substr(0, text.find('\n'));
    check_document(text);
    check_url(line);
    check_units(line);
    Sources sources;
    sources.settings = {line};
    sources.listen = {line};
    sources.environment = {"STENTOR_" + line};
    const auto loaded = load(sources);
    STENTOR_ASSERT(loaded.has_value() || !loaded.error().empty());
    return 0;
}
