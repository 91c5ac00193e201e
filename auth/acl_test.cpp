#include "auth/acl.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

Acl acl(std::string_view text, SubscribePolicy policy = SubscribePolicy::refuse) {
    auto parsed = Acl::parse(text, policy);
    if (!parsed) {
        for (const FileError& error : parsed.error()) ADD_FAILURE() << error.line << error.what;
        return {};
    }
    return *std::move(parsed);
}

constexpr Subject kAnna{.user = "anna", .client_id = "c1"};
constexpr Subject kBob{.user = "bob", .client_id = "c2"};
constexpr Subject kNobody{.user = "", .client_id = "c3"};
constexpr Subject kAdmin{.user = "admin", .client_id = "c4", .is_admin = true};

constexpr std::string_view kRules = R"(# general
topic read news/#

user anna
topic write sensors/anna/+
topic  readwrite   chat/anna
topic files/#
topic read files/my documents/#
user bob
topic #
topic deny secret/#
  # indented comment
pattern readwrite devices/%c/#
pattern read mail/%u
pattern deny devices/+/firmware
)";

TEST(Acl, AllowsEverythingWithoutAFile) {
    const Acl none;
    EXPECT_TRUE(none.allows_everything());
    EXPECT_TRUE(none.publish(kNobody, "a/b"));
    EXPECT_TRUE(none.subscribe(kNobody, "#"));
    EXPECT_TRUE(none.deliver(kNobody, "a/b"));
}

TEST(Acl, DeniesEverythingWithAnEmptyFile) {
    const Acl empty = acl("");
    EXPECT_FALSE(empty.allows_everything());
    EXPECT_FALSE(empty.publish(kAnna, "a"));
    EXPECT_FALSE(empty.subscribe(kAnna, "a"));
    EXPECT_FALSE(empty.deliver(kAnna, "a"));
}

TEST(Acl, AppliesGeneralRulesToAnonymousClientsOnly) {
    const Acl rules = acl("topic read news/#\nuser anna\ntopic write x\n");
    EXPECT_TRUE(rules.deliver(kNobody, "news/today"));
    EXPECT_FALSE(rules.publish(kNobody, "news/today"));
    EXPECT_FALSE(rules.deliver(kAnna, "news/today"));
}

TEST(Acl, SeparatesReadingAndWriting) {
    const Acl rules =
        acl("user anna\ntopic write w\ntopic read r\ntopic readwrite rw\ntopic both\n");
    EXPECT_TRUE(rules.publish(kAnna, "w"));
    EXPECT_FALSE(rules.deliver(kAnna, "w"));
    EXPECT_FALSE(rules.publish(kAnna, "r"));
    EXPECT_TRUE(rules.deliver(kAnna, "r"));
    for (const char* topic : {"rw", "both"}) {
        EXPECT_TRUE(rules.publish(kAnna, topic));
        EXPECT_TRUE(rules.deliver(kAnna, topic));
    }
    EXPECT_FALSE(rules.publish(kBob, "rw"));
}

TEST(Acl, TakesTopicsWithBlanksAfterAnAccess) {
    const Acl rules = acl("user anna\ntopic read files/my documents/#\n");
    EXPECT_TRUE(rules.deliver(kAnna, "files/my documents/x"));
}

TEST(Acl, LetsDenyWinWhereverItStands) {
    const Acl rules =
        acl("user bob\ntopic #\ntopic deny secret/#\n"
            "user anna\ntopic readwrite devices/#\n"
            "pattern deny devices/+/firmware\n");
    EXPECT_TRUE(rules.publish(kBob, "open"));
    EXPECT_FALSE(rules.publish(kBob, "secret"));
    EXPECT_FALSE(rules.deliver(kBob, "secret/x"));
    EXPECT_FALSE(rules.publish(kAnna, "devices/x/firmware"));
    EXPECT_TRUE(rules.publish(kAnna, "devices/x/state"));
}

TEST(Acl, MergesTheBlocksOfOneUser) {
    const Acl rules = acl("user anna\ntopic a\nuser bob\ntopic b\nuser anna\ntopic c\n");
    EXPECT_TRUE(rules.publish(kAnna, "a"));
    EXPECT_TRUE(rules.publish(kAnna, "c"));
    EXPECT_FALSE(rules.publish(kAnna, "b"));
    EXPECT_EQ(rules.rule_count(), 3U);
}

TEST(Acl, PutsNamesIntoPatterns) {
    const Acl rules = acl("pattern devices/%c/#\npattern read mail/%u\n");
    EXPECT_TRUE(rules.publish(kNobody, "devices/c3/state"));
    EXPECT_FALSE(rules.publish(kNobody, "devices/c1/state"));
    EXPECT_TRUE(rules.deliver(kAnna, "mail/anna"));
    EXPECT_FALSE(rules.deliver(kAnna, "mail/bob"));
    // A client without a name does not read "mail/".
    EXPECT_FALSE(rules.deliver(kNobody, "mail/"));
    // In a topic line the letters mean themselves.
    EXPECT_FALSE(acl("user anna\ntopic x/%u\n").publish(kAnna, "x/anna"));
    EXPECT_TRUE(acl("user anna\ntopic x/%u\n").publish(kAnna, "x/%u"));
}

TEST(Acl, GivesNothingByPatternToNamesWithWildcards) {
    const Acl rules = acl("pattern devices/%c/#\nuser +\ntopic mine\n");
    const Subject plus{.user = "anna", .client_id = "+"};
    EXPECT_FALSE(rules.publish(plus, "devices/c1/state"));
    EXPECT_FALSE(rules.subscribe(plus, "devices/+/state"));
    EXPECT_TRUE(rules.publish({.user = "+", .client_id = "x"}, "mine"));
    const Acl deny = acl("user #\ntopic #\npattern deny x/%u\n");
    EXPECT_FALSE(deny.publish({.user = "#", .client_id = "x"}, "any"));
}

TEST(Acl, RefusesAFilterThatMatchesMoreThanIsAllowed) {
    const Acl rules = acl("user anna\ntopic read a/#\ntopic deny a/secret\ntopic read b/+\n");
    EXPECT_TRUE(rules.subscribe(kAnna, "a/x/#"));
    EXPECT_TRUE(rules.subscribe(kAnna, "b/+"));
    EXPECT_FALSE(rules.subscribe(kAnna, "a/#"));  // would show a/secret
    EXPECT_FALSE(rules.subscribe(kAnna, "a/+"));
    EXPECT_FALSE(rules.subscribe(kAnna, "b/#"));
    EXPECT_FALSE(rules.subscribe(kAnna, "#"));
    EXPECT_FALSE(rules.subscribe(kAnna, "c"));
}

TEST(Acl, GrantsFiltersAndChecksAtDeliveryIfToldSo) {
    const Acl rules = acl("user anna\ntopic read a/#\n", SubscribePolicy::filter);
    EXPECT_TRUE(rules.subscribe(kAnna, "#"));
    EXPECT_TRUE(rules.deliver(kAnna, "a/x"));
    EXPECT_FALSE(rules.deliver(kAnna, "b"));
}

TEST(Acl, KeepsSysForAdminsUnlessARuleSaysOtherwise) {
    const Acl none;
    EXPECT_TRUE(none.subscribe(kAdmin, "$SYS/#"));
    EXPECT_TRUE(none.deliver(kAdmin, "$SYS/broker/uptime"));
    EXPECT_FALSE(none.subscribe(kAnna, "$SYS/#"));
    EXPECT_FALSE(none.deliver(kAnna, "$SYS/broker/uptime"));
    EXPECT_FALSE(none.publish(kAdmin, "$SYS/broker/uptime"));
    EXPECT_TRUE(none.publish(kAnna, "$SYSTEM/x"));
    const Acl rules = acl("user anna\ntopic read $SYS/broker/#\ntopic read #\n");
    EXPECT_TRUE(rules.subscribe(kAnna, "$SYS/broker/uptime"));
    EXPECT_FALSE(rules.subscribe(kAnna, "$SYS/#"));
    EXPECT_FALSE(rules.deliver(kAnna, "$other/x"));  // "#" says nothing about it
    EXPECT_TRUE(rules.deliver(kAdmin, "$SYS/x"));
}

TEST(Acl, NamesTheLineThatDecided) {
    const Acl rules = acl(kRules);
    EXPECT_EQ(rules.deliver(kNobody, "news/x").line, 2U);
    EXPECT_EQ(rules.publish(kAnna, "sensors/anna/1").line, 5U);
    EXPECT_EQ(rules.publish(kBob, "secret/x").line, 11U);
    EXPECT_EQ(rules.publish(kNobody, "devices/c3/x").line, 13U);
    EXPECT_EQ(rules.publish(kBob, "devices/c2/firmware").line, 15U);
    EXPECT_EQ(rules.publish(kAnna, "nothing").line, 0U);
}

TEST(Acl, ReportsEveryMistakeOfAFile) {
    const auto parsed = Acl::parse(
        "user\n"
        "topic\n"
        "topic reed a/b\n"
        "\ttopic read a/#/b\r\n"
        "topics a\n"
        "pattern write\n"
        "topic read ok\n",
        SubscribePolicy::refuse);
    ASSERT_TRUE(parsed.has_error());
    const auto& errors = parsed.error();
    ASSERT_EQ(errors.size(), 5U);
    EXPECT_EQ(errors[0].what, "the user's name is missing");
    EXPECT_EQ(errors[1].what, "the topic is missing");
    EXPECT_EQ(errors[2].what, "unknown access \"reed\"");
    EXPECT_EQ(errors[2].column, 7U);
    EXPECT_EQ(errors[2].length, 4U);
    EXPECT_EQ(errors[3].line, 4U);
    EXPECT_EQ(errors[3].column, 13U);
    EXPECT_EQ(errors[3].what, "\"a/#/b\" is not a topic filter");
    EXPECT_EQ(errors[4].line, 5U);
    EXPECT_EQ(errors[4].hint, "a line begins with user, role, member, topic, pattern or #");
    // "pattern write" is a rule about the topic "write", in Mosquitto as well.
}

GrantsPtr grants(std::vector<Grant> all) { return make_intrusive<Grants>(std::move(all)); }

TEST(Acl, GrantsOfCredentialsAreAllThereIs) {
    const GrantsPtr some = grants({{.filter = "up/c5", .write = true},
                                   {.filter = "down/#", .read = true},
                                   {.filter = "both", .read = true, .write = true},
                                   {.filter = "#", .read = false}});
    const Subject device{.user = "dev", .client_id = "c5", .grants = some.get()};
    const Acl none;
    EXPECT_TRUE(none.publish(device, "up/c5"));
    EXPECT_FALSE(none.publish(device, "up/c6"));
    EXPECT_FALSE(none.publish(device, "down/x"));
    EXPECT_FALSE(none.subscribe(device, "up/c5"));
    EXPECT_TRUE(none.subscribe(device, "down/+/x"));
    EXPECT_FALSE(none.subscribe(device, "#"));
    EXPECT_TRUE(none.deliver(device, "both"));
    EXPECT_FALSE(none.deliver(device, "other"));
    EXPECT_FALSE(none.deliver(device, "$SYS/broker/uptime"));
    EXPECT_TRUE(none.publish(kNobody, "up/c6")) << "others are free as before";
}

TEST(Acl, GrantsOfCredentialsGiveWayToADenyAndAddNothingToRules) {
    const Acl rules =
        acl("user dev\ntopic own\ntopic deny down/secret/#\n"
            "pattern readwrite all/#\npattern deny up/%c/no\n");
    const GrantsPtr some = grants({{.filter = "down/#", .read = true},
                                   {.filter = "up/c5/#", .write = true},
                                   {.filter = "$SYS/#", .read = true, .write = true}});
    const Subject device{.user = "dev", .client_id = "c5", .grants = some.get()};
    EXPECT_FALSE(rules.publish(device, "own")) << "what the file allows is for others";
    EXPECT_FALSE(rules.deliver(device, "all/x"));
    EXPECT_TRUE(rules.deliver(device, "down/x"));
    EXPECT_FALSE(rules.deliver(device, "down/secret/x"));
    EXPECT_FALSE(rules.subscribe(device, "down/#")) << "it overlaps the deny";
    EXPECT_TRUE(rules.publish(device, "up/c5/yes"));
    EXPECT_FALSE(rules.publish(device, "up/c5/no"));
    EXPECT_FALSE(rules.publish(device, "$SYS/x")) << "nobody may";
    EXPECT_TRUE(rules.deliver(device, "$SYS/broker/uptime"));
}

TEST(Acl, WithoutAFileAFilterMayBeGrantedForWhatItsMessagesAreAllowed) {
    const GrantsPtr some = grants({{.filter = "down/#", .read = true}});
    const Subject device{.user = "dev", .client_id = "c5", .grants = some.get()};
    const Acl filtering{SubscribePolicy::filter};
    EXPECT_TRUE(filtering.allows_everything());
    EXPECT_TRUE(filtering.subscribe(device, "#"));
    EXPECT_FALSE(filtering.deliver(device, "up"));
    EXPECT_TRUE(filtering.deliver(device, "down/x"));
}

TEST(Acl, APatternDoesNotReachOutOfANamesLevel) {
    const Acl rules =
        acl("pattern read %c/#\npattern readwrite devices/%c/#\npattern read users/%u\n"
            "pattern deny locked/%c\npattern read common/#\n");
    const Subject sub{.user = "anna", .client_id = "victim/sub"};
    EXPECT_FALSE(rules.subscribe(sub, "victim/sub/#"));
    EXPECT_FALSE(rules.publish(sub, "devices/victim/sub/x"));
    EXPECT_FALSE(rules.deliver(sub, "locked/victim/sub")) << "its denies hold";
    EXPECT_TRUE(rules.deliver(sub, "users/anna"));
    EXPECT_TRUE(rules.deliver(sub, "common/x"));
    const Subject sys{.user = "$SYS", .client_id = "$SYS"};
    EXPECT_FALSE(rules.subscribe(sys, "$SYS/#"));
    EXPECT_FALSE(rules.deliver(sys, "$SYS/broker/uptime"));
    EXPECT_TRUE(rules.publish(sys, "devices/$SYS/x")) << "there it begins nothing";
    EXPECT_FALSE(rules.deliver({.user = "a/b", .client_id = "c"}, "users/a/b"));
}

constexpr std::string_view kRoles = R"(pattern readwrite own/%u/#
user anna
topic read anna/#
role meter
member anna
member carl the great
topic write meters/all
pattern write meters/%u/%c
topic deny meters/all/closed
role reader
member anna
topic read news/#
pattern deny news/of/%u
topic read $SYS/broker/#
role watcher
topic read watched/#
topic deny own/+/private
)";

TEST(Acl, RulesOfARoleAreItsMembers) {
    const Acl rules = acl(kRoles);
    EXPECT_TRUE(rules.publish(kAnna, "meters/all"));
    EXPECT_TRUE(rules.publish(kAnna, "meters/anna/c1"));
    EXPECT_FALSE(rules.publish(kAnna, "meters/anna/c2"));
    EXPECT_FALSE(rules.deliver(kAnna, "meters/all"));
    EXPECT_TRUE(rules.deliver(kAnna, "news/today")) << "of the other role";
    EXPECT_TRUE(rules.deliver(kAnna, "anna/x")) << "her own rules";
    EXPECT_TRUE(rules.publish(kAnna, "own/anna/x")) << "a pattern for everybody";
    EXPECT_TRUE(rules.publish({.user = "carl the great", .client_id = "c"}, "meters/all"));
    EXPECT_FALSE(rules.deliver({.user = "carl the great", .client_id = "c"}, "news/today"));
    for (const Subject& other : {kBob, kNobody, Subject{.user = "meter", .client_id = "meter"}}) {
        EXPECT_FALSE(rules.publish(other, "meters/all"));
        EXPECT_FALSE(rules.publish(other, "meters/bob/c2")) << "its patterns are not everybody's";
        EXPECT_FALSE(rules.deliver(other, "watched/x"));
    }
    EXPECT_EQ(rules.rule_count(), 10U);
    EXPECT_EQ(rules.role_count(), 3U);
    EXPECT_TRUE(rules.has_role("watcher"));
    EXPECT_FALSE(rules.has_role("anna"));
}

TEST(Acl, ADenyOfARoleWinsWhereverItStands) {
    const Acl rules =
        acl("role locked\nmember anna\ntopic deny a/secret\npattern deny b/%c\n"
            "user anna\ntopic readwrite #\nrole free\nmember anna\ntopic #\n"
            "user bob\ntopic #\npattern deny c/#\n");
    for (const char* topic : {"a/secret", "b/c1", "c/x"}) {
        EXPECT_FALSE(rules.publish(kAnna, topic)) << topic;
        EXPECT_FALSE(rules.deliver(kAnna, topic)) << topic;
    }
    EXPECT_TRUE(rules.publish(kAnna, "a/open"));
    EXPECT_TRUE(rules.publish(kAnna, "b/c2"));
    EXPECT_FALSE(rules.subscribe(kAnna, "a/+"));
    EXPECT_TRUE(rules.subscribe(kAnna, "d/#"));
    EXPECT_TRUE(rules.publish(kBob, "a/secret")) << "not his role";
    EXPECT_FALSE(rules.publish(kBob, "c/x")) << "behind a user line a pattern is everybody's";
}

TEST(Acl, CredentialsNameRolesTheFileKnowsOrDoesNot) {
    const Acl rules = acl(kRoles);
    const RoleNamesPtr names = RoleNames::of({"nobody knows it", "watcher", "reader"});
    const Subject bob{.user = "bob", .client_id = "c2", .roles = names.get()};
    EXPECT_TRUE(rules.deliver(bob, "watched/x"));
    EXPECT_TRUE(rules.deliver(bob, "news/of/anna"));
    EXPECT_FALSE(rules.deliver(bob, "news/of/bob"));
    EXPECT_TRUE(rules.publish(bob, "own/bob/x"));
    EXPECT_FALSE(rules.publish(bob, "own/bob/private"));
    EXPECT_FALSE(rules.publish(bob, "meters/all"));
    EXPECT_TRUE(rules.publish(kBob, "own/bob/private")) << "others of that name";
    const Subject nameless{.user = "", .client_id = "c", .roles = names.get()};
    EXPECT_TRUE(rules.deliver(nameless, "watched/x"));
    EXPECT_TRUE(rules.deliver(nameless, "news/of/x")) << "%u is nobody's";
    EXPECT_TRUE(
        acl("topic read a\n").deliver({.user = "", .client_id = "c", .roles = names.get()}, "a"));
    const Acl none;
    EXPECT_TRUE(none.publish(bob, "anything")) << "without a file roles mean nothing";
    EXPECT_FALSE(none.deliver(bob, "$SYS/broker/uptime"));
}

TEST(Acl, ARoleMayReadBelowSys) {
    const Acl rules = acl(kRoles);
    EXPECT_TRUE(rules.subscribe(kAnna, "$SYS/broker/#"));
    EXPECT_TRUE(rules.deliver(kAnna, "$SYS/broker/uptime"));
    EXPECT_FALSE(rules.subscribe(kAnna, "$SYS/#"));
    EXPECT_FALSE(rules.subscribe(kBob, "$SYS/broker/#"));
    EXPECT_FALSE(acl("role all\nmember anna\ntopic #\ntopic $SYS/#\n").publish(kAnna, "$SYS/x"));
}

TEST(Acl, GrantsAndRolesOfTheSameCredentialsCountTogether) {
    const Acl rules = acl(kRoles);
    const GrantsPtr some = grants({{.filter = "up/#", .write = true},
                                   {.filter = "own/anna/#", .write = true},
                                   {.filter = "meters/all/#", .write = true}});
    const RoleNamesPtr watcher = RoleNames::of({"watcher"});
    const Subject anna{
        .user = "anna", .client_id = "c1", .grants = some.get(), .roles = watcher.get()};
    EXPECT_TRUE(rules.publish(anna, "up/x"));
    EXPECT_TRUE(rules.deliver(anna, "watched/x"));
    EXPECT_FALSE(rules.deliver(anna, "anna/x")) << "what the file allows her name is not added";
    EXPECT_FALSE(rules.deliver(anna, "news/today")) << "nor what it allows her roles";
    EXPECT_FALSE(rules.deliver(anna, "own/anna/x")) << "nor what it allows everybody";
    EXPECT_TRUE(rules.publish(anna, "own/anna/x"));
    EXPECT_FALSE(rules.publish(anna, "own/anna/private")) << "the credentials' role denies it";
    EXPECT_FALSE(rules.publish(anna, "meters/all/closed")) << "a role of the file denies it";
    // A role that she has by the file as well counts as the credentials name it.
    const RoleNamesPtr reader = RoleNames::of({"reader"});
    const Subject twice{
        .user = "anna", .client_id = "c1", .grants = some.get(), .roles = reader.get()};
    EXPECT_TRUE(rules.deliver(twice, "news/today"));
    EXPECT_FALSE(rules.deliver(twice, "news/of/anna"));
}

TEST(Acl, NamesWithWildcardsGetNothingFromARolesPatterns) {
    const Acl rules =
        acl("role meter\nmember +\npattern write meters/%u/#\ntopic read all\n"
            "role closed\nmember #\ntopic #\npattern deny x/%u\n");
    const Subject plus{.user = "+", .client_id = "c"};
    EXPECT_FALSE(rules.publish(plus, "meters/anna/x"));
    EXPECT_TRUE(rules.deliver(plus, "all"));
    EXPECT_FALSE(rules.publish({.user = "#", .client_id = "c"}, "any"));
    const RoleNamesPtr meter = RoleNames::of({"meter"});
    EXPECT_FALSE(
        rules.publish({.user = "a/b", .client_id = "c", .roles = meter.get()}, "meters/a/b/x"));
}

TEST(Acl, NamesTheRoleThatDecided) {
    const Acl rules = acl(kRoles);
    Decider decider = rules.publish(kAnna, "meters/all");
    EXPECT_EQ(decider.line, 7U);
    EXPECT_EQ(decider.role, "meter");
    decider = rules.deliver(kAnna, "news/of/anna");
    EXPECT_FALSE(decider);
    EXPECT_EQ(decider.line, 13U);
    EXPECT_EQ(decider.role, "reader");
    EXPECT_EQ(rules.deliver(kAnna, "anna/x").role, "");
    EXPECT_EQ(rules.publish(kAnna, "own/anna/x").role, "");
    EXPECT_EQ(rules.publish(kAnna, "own/anna/x").line, 1U);
}

TEST(Acl, MergesTheSectionsOfOneRole) {
    const Acl rules =
        acl("role r\ntopic a\nmember anna\nuser bob\ntopic x\nrole r\nmember anna\ntopic b\n"
            "role s\ntopic c\n");
    EXPECT_TRUE(rules.publish(kAnna, "a"));
    EXPECT_TRUE(rules.publish(kAnna, "b"));
    EXPECT_FALSE(rules.publish(kAnna, "c"));
    EXPECT_FALSE(rules.publish(kAnna, "x"));
    EXPECT_EQ(rules.role_count(), 2U);
}

TEST(Acl, ReportsMistakesAboutRoles) {
    const std::string longest(kRoleNameBytesMax, 'r');
    const auto parsed = Acl::parse("member anna\nuser bob\nmember anna\nrole\nrole " + longest +
                                       "x\nrole a\tb\nrole " + longest + "\nmember\nroles a\n",
                                   SubscribePolicy::refuse);
    ASSERT_TRUE(parsed.has_error());
    const auto& errors = parsed.error();
    ASSERT_EQ(errors.size(), 7U);
    EXPECT_EQ(errors[0].what, "of which role?");
    EXPECT_EQ(errors[1].line, 3U);
    EXPECT_EQ(errors[1].hint, "member NAME stands behind role NAME");
    EXPECT_EQ(errors[2].what, "the role's name is missing");
    EXPECT_EQ(errors[3].line, 5U);
    EXPECT_EQ(errors[3].what, "that is no name of a role");
    EXPECT_EQ(errors[3].length, kRoleNameBytesMax + 1);
    EXPECT_EQ(errors[4].line, 6U);
    EXPECT_EQ(errors[5].what, "the user's name is missing");
    EXPECT_EQ(errors[6].what, "unknown word \"roles\"");
}

TEST(Acl, RolesHaveBounds) {
    const auto roles = [](std::size_t count) {
        std::string text;
        for (std::size_t i = 0; i < count; ++i) {
            text += "role " + std::to_string(i) + "\nmember anna\n";
        }
        return text;
    };
    EXPECT_TRUE(Acl::parse(roles(kRolesMax), SubscribePolicy::refuse));
    const auto many = Acl::parse(roles(kRolesMax + 1), SubscribePolicy::refuse);
    ASSERT_TRUE(many.has_error());
    EXPECT_EQ(many.error()[0].what, "\"anna\" has more than 64 roles");
    EXPECT_EQ(many.error()[0].line, 2 * (kRolesMax + 1));

    std::string text;
    for (int i = 0; i < 65'535; ++i) text += "role " + std::to_string(i) + '\n';
    EXPECT_EQ(acl(text + "role 7\ntopic x\n").role_count(), 65'535U);
    const auto beyond = Acl::parse(text + "role one more\n", SubscribePolicy::refuse);
    ASSERT_TRUE(beyond.has_error());
    EXPECT_EQ(beyond.error()[0].what, "more than 65535 roles");
}

TEST(RoleNames, AreFewAndCountOnce) {
    EXPECT_EQ(RoleNames::of({}), nullptr);
    const RoleNamesPtr names = RoleNames::of({"b", "a c", "b"});
    std::string seen;
    EXPECT_TRUE(names->all_of([&](std::string_view name) {
        seen += std::string{name} + ';';
        return true;
    }));
    EXPECT_EQ(seen, "b;a c;");
    EXPECT_TRUE(names->contains("a c"));
    EXPECT_FALSE(names->contains("a"));
    for (const char* text : {"", "a\nb", "a\tb", "\x7F"}) EXPECT_FALSE(is_role_name(text)) << text;
    EXPECT_TRUE(is_role_name("grüße an alle"));
    EXPECT_FALSE(is_role_name(std::string(kRoleNameBytesMax + 1, 'r')));
}

}  // namespace
}  // namespace stentor::auth
