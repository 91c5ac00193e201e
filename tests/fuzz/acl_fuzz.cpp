// ACL files: any text is read or refused, and the verdicts of what was read agree with each other.

#include "auth/acl.hpp"
#include "base/assert.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace stentor::auth;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto acl = Acl::parse(text, SubscribePolicy::refuse);
    if (!acl) {
        for (const FileError& error : acl.error()) {
            STENTOR_ASSERT(error.line != 0 && error.column != 0 && !error.what.empty());
        }
        return 0;
    }
    STENTOR_ASSERT(!acl->allows_everything());
    constexpr std::array<Subject, 3> kSubjects{{{.user = "", .client_id = "c1"},
                                                {.user = "anna", .client_id = "c/2"},
                                                {.user = "bob", .client_id = "+"}}};
    for (const Subject& subject : kSubjects) {
        for (const std::string_view topic : {"a", "a/b", "devices/c1/x", "mail/anna", "$x/y"}) {
            // A filter without wildcards is one topic: granting it and delivering it are the same.
            STENTOR_ASSERT(acl->subscribe(subject, topic).allowed ==
                           acl->deliver(subject, topic).allowed);
            // What a wildcard filter was granted for can be delivered.
            for (const std::string_view filter : {"#", "a/#", "+/+", "devices/#", "mail/+"}) {
                const bool matches = filter == "#"        ? !topic.starts_with('$')
                                     : filter == "a/#"    ? topic.starts_with('a')
                                     : filter == "+/+"    ? topic == "a/b" || topic == "mail/anna"
                                     : filter == "mail/+" ? topic == "mail/anna"
                                                          : topic.starts_with("devices/");
                if (matches && acl->subscribe(subject, filter)) {
                    STENTOR_ASSERT(acl->deliver(subject, topic).allowed);
                }
            }
            STENTOR_ASSERT(!acl->publish(subject, "$SYS/broker/uptime"));
        }
    }
    return 0;
}
