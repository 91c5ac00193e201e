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
    EXPECT_EQ(errors[4].hint, "a line begins with user, topic, pattern or #");
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

}  // namespace
}  // namespace stentor::auth
