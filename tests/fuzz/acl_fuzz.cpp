// ACL files: any text is read or refused, and the verdicts of what was read agree with each other.

#include "auth/acl.hpp"
#include "base/assert.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <string>
#include <string_view>

namespace {

using namespace stentor::auth;

constexpr std::array<std::string_view, 5> kTopics{"a", "a/b", "devices/c1/x", "mail/anna", "$x/y"};

void try_subject(const Acl& acl, const Subject& subject) {
    for (const std::string_view topic : kTopics) {
        // A filter without wildcards is one topic: granting it and delivering it are the same.
        STENTOR_ASSERT(acl.subscribe(subject, topic).allowed ==
                       acl.deliver(subject, topic).allowed);
        // What a wildcard filter was granted for can be delivered.
        for (const std::string_view filter : {"#", "a/#", "+/+", "devices/#", "mail/+"}) {
            const bool matches = filter == "#"        ? !topic.starts_with('$')
                                 : filter == "a/#"    ? topic.starts_with('a')
                                 : filter == "+/+"    ? topic == "a/b" || topic == "mail/anna"
                                 : filter == "mail/+" ? topic == "mail/anna"
                                                      : topic.starts_with("devices/");
            if (matches && acl.subscribe(subject, filter)) {
                STENTOR_ASSERT(acl.deliver(subject, topic).allowed);
            }
        }
        STENTOR_ASSERT(!acl.publish(subject, "$SYS/broker/uptime"));
        const Decider decider = acl.publish(subject, topic);
        STENTOR_ASSERT(decider.role.empty() || (decider.line != 0 && acl.has_role(decider.role)));
    }
}

/// Behind any text a role stands for itself: it denies whatever was allowed before, allows nobody
/// else anything, and it makes no difference who says that somebody has it.
void try_role(const std::string& text, const Acl& before) {
    constexpr std::string_view kRules = "topic readwrite a\ntopic deny a/b\npattern read mail/%u\n";
    const std::string head = text + "\nrole fuzz\n";
    const auto named = Acl::parse(head + std::string{kRules}, SubscribePolicy::refuse);
    STENTOR_ASSERT(named.has_value() && named->has_role("fuzz"));
    const RoleNamesPtr names = RoleNames::of({"fuzz", "no such role"});
    const Subject anna{.user = "anna", .client_id = "c1", .roles = names.get()};
    try_subject(*named, anna);
    STENTOR_ASSERT(!named->publish(anna, "a/b") && !named->deliver(anna, "a/b"));
    for (const std::string_view topic : kTopics) {
        const Subject bob{.user = "bob", .client_id = "c1"};
        if (before.has_role("fuzz")) break;
        STENTOR_ASSERT(named->publish(bob, topic).allowed == before.publish(bob, topic).allowed);
        STENTOR_ASSERT(named->deliver(bob, topic).allowed == before.deliver(bob, topic).allowed);
    }
    const auto member =
        Acl::parse(head + "member anna\n" + std::string{kRules}, SubscribePolicy::refuse);
    if (!member) return;  // she has too many
    const Subject by_name{.user = "anna", .client_id = "c1"};
    for (const std::string_view topic : kTopics) {
        STENTOR_ASSERT(member->publish(by_name, topic).allowed ==
                       named->publish(anna, topic).allowed);
        STENTOR_ASSERT(member->deliver(by_name, topic).allowed ==
                       named->deliver(anna, topic).allowed);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text{reinterpret_cast<const char*>(data), size};
    const auto acl = Acl::parse(text, SubscribePolicy::refuse);
    if (!acl) {
        for (const FileError& error : acl.error()) {
            STENTOR_ASSERT(error.line != 0 && error.column != 0 && !error.what.empty());
        }
        return 0;
    }
    STENTOR_ASSERT(!acl->allows_everything());
    const RoleNamesPtr roles = RoleNames::of({"meter", "reader"});
    const std::array<Subject, 5> subjects{
        {{.user = "", .client_id = "c1"},
         {.user = "anna", .client_id = "c/2"},
         {.user = "bob", .client_id = "+"},
         {.user = "anna", .client_id = "c1", .roles = roles.get()},
         {.user = "", .client_id = "c1", .roles = roles.get()}}};
    for (const Subject& subject : subjects) try_subject(*acl, subject);
    try_role(text, *acl);
    return 0;
}
