// The command line of the real binary: help, exit codes, messages.

#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>

namespace stentor {
namespace {

using kit::Finished;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Finished stentor(std::vector<std::string> arguments,
                 std::string_view input = "",
                 std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), STENTOR_BINARY);
    return kit::run(std::move(arguments), input, {.environment = std::move(environment)});
}

TEST(Cli, HelpsEverywhere) {
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{},
                                               {"serve"},
                                               {"check"},
                                               {"user"},
                                               {"user", "add"},
                                               {"store"},
                                               {"store", "dump"},
                                               {"version"}}) {
        std::vector<std::string> arguments = words;
        arguments.emplace_back("--help");
        const Finished help = stentor(arguments);
        EXPECT_EQ(help.status.code, 0);
        EXPECT_THAT(help.out, HasSubstr("Usage: stentor"));
        EXPECT_EQ(help.err, "");
    }
}

// Texts shorter and longer than a buffer, by each way of writing them.
TEST(Cli, OutputThatCannotBeWrittenIsAFailure) {
    for (const std::string words : {"--help",
                                    "serve --help",
                                    "sub --help",
                                    "pub --help",
                                    "bench --help",
                                    "bench pub --help",
                                    "version",
                                    "check --print-example",
                                    "check --print-reference"}) {
        const Finished done = kit::run({"sh", "-c", STENTOR_BINARY " " + words + " >/dev/full"});
        EXPECT_EQ(done.status.code, 1) << words;
        EXPECT_EQ(done.err, "stentor: standard output cannot be written\n") << words;
    }
}

TEST(Cli, ListsNoCommandThatDoesNotExist) {
    const Finished help = stentor({"--help"});
    for (const char* command : {"serve", "check", "init", "user", "version", "bench"}) {
        EXPECT_THAT(help.out, HasSubstr(std::string{"  "} + command + " "));
    }
    for (const char* command : {"ctl"}) {
        EXPECT_THAT(help.out, Not(HasSubstr(std::string{"  "} + command + " ")));
        EXPECT_EQ(stentor({command}).status.code, 2);
    }
}

TEST(Cli, SaysWhatItIs) {
    const Finished version = stentor({"version"});
    EXPECT_EQ(version.status.code, 0);
    EXPECT_THAT(version.out, StartsWith("stentor 0."));
    for (const char* part : {"commit ", "build ", "OpenSSL 3", "Boost 1.81"}) {
        EXPECT_THAT(version.out, HasSubstr(part));
    }
    EXPECT_EQ(stentor({"--version"}).out, version.out);
}

struct Mistake {
    std::vector<std::string> arguments;
    const char* message;
};

TEST(Cli, NamesTheNearestCommandAndFlag) {
    const std::vector<Mistake> mistakes{
        {{}, "Usage: stentor"},
        {{"srve"}, "unknown command `srve`\n  did you mean `serve`?\n  see `stentor --help`\n"},
        {{"chekc"}, "did you mean `check`?"},
        {{"nonsense", "--help"}, "unknown command `nonsense`"},
        {{"nonsense", "--version"}, "unknown command `nonsense`"},
        {{"user", "ad", "--help"}, "unknown command `ad`\n  did you mean `add`?"},
        {{"frobnicate"}, "unknown command `frobnicate`\n  see `stentor --help`\n"},
        {{"serve", "--lisen", "x"}, "unknown flag `--lisen`\n  did you mean `--listen`?"},
        {{"serve", "--datta=x"}, "unknown flag `--datta`\n  did you mean `--data`?"},
        {{"serve", "extra"}, "one word too many: `extra`"},
        {{"serve", "-c"}, "FILE missing"},
        {{"check", "--config-file", "x"}, "unknown flag `--config-file`"},
        {{"user"}, "add, passwd, del or list"},
        {{"user", "ad"}, "did you mean `add`?\n  see `stentor user --help`"},
        {{"user", "add"}, "FILE is required"},
        {{"user", "add", "file"}, "NAME is required"},
        {{"store", "dump", "d", "--from", "-1"}, "--from: '-1' is not a whole number from 0 to 92"},
        {{"store", "dump", "d", "--from=9223372036854775808"}, "is not a whole number"},
        {{"store", "dump", "d", "--to", "99999999999999999999"}, "--to: '99999999999999999999' is"},
        {{"store", "dump", "d", "--to", "0x10"}, "--to: '0x10' is not a whole number"},
        {{"store", "dump", "d", "--payload", "-5"}, "--payload: '-5' is not a whole number"},
    };
    for (const Mistake& mistake : mistakes) {
        const Finished finished = stentor(mistake.arguments);
        EXPECT_EQ(finished.status.code, 2) << mistake.message;
        EXPECT_THAT(finished.err, HasSubstr(mistake.message));
        EXPECT_EQ(finished.out, "");
    }
}

TEST(Check, AcceptsTheDefaults) {
    const kit::TempDir dir;
    const Finished check =
        stentor({"check", "--listen", "mqtt://127.0.0.1:0", "--data", dir.file("data")});
    EXPECT_EQ(check.status.code, 0) << check.err;
    EXPECT_THAT(check.out, HasSubstr("defaults (no file given)"));
    EXPECT_THAT(check.out, HasSubstr("(will be made)"));
    EXPECT_EQ(check.err, "");
    EXPECT_FALSE(std::filesystem::exists(dir.file("data")));
}

/// A name that the certificate has not would be refused by whoever does as it says.
TEST(Init, ShowsAUrlThatTheCertificateIsFor) {
    const kit::TempDir dir;
    const auto init = [&](const std::string& name, std::vector<std::string> hosts) {
        std::vector<std::string> all{"init", dir.file(name)};
        for (const std::string& host : hosts) all.insert(all.end(), {"--host", host});
        return stentor(all).out;
    };
    EXPECT_THAT(init("a", {}), HasSubstr("--url mqtts://localhost:8883 "));
    EXPECT_THAT(init("b", {"*.example", "broker.example"}),
                HasSubstr("--url mqtts://broker.example:8883 "));
    EXPECT_THAT(init("c", {"::1"}), HasSubstr("--url mqtts://[::1]:8883 "));
    // And one that it is for whatever hosts were asked for.
    EXPECT_THAT(init("d", {"broker.example"}),
                AllOf(HasSubstr("for broker.example localhost 127.0.0.1\n"),
                      HasSubstr("https://127.0.0.1:8443/v1/publish/")));
}

TEST(Check, SaysWhichRuleDecides) {
    const kit::TempDir dir;
    const std::string rules = dir.write("acl",
                                        "user anna\n"
                                        "topic read news/#\n"
                                        "topic deny news/secret\n"
                                        "pattern write devices/%c/#\n");
    const auto ask = [&](std::vector<std::string> more) {
        std::vector<std::string> all{"check", "--set", "auth.acl_file=" + rules, "--as", "anna"};
        all.insert(all.end(), more.begin(), more.end());
        return stentor(all);
    };
    Finished answer = ask({"--client-id", "c1", "--publish", "devices/c1/up"});
    EXPECT_EQ(
        answer.out,
        "allowed  anna publishes to devices/c1/up: " + rules + ":4: pattern write devices/%c/#\n");
    EXPECT_EQ(answer.status.code, 0) << answer.err;
    answer = ask({"--subscribe", "news/today", "--subscribe", "news/#", "--publish", "x"});
    EXPECT_EQ(answer.out,
              "refused  anna publishes to x: no rule of " + rules +
                  " allows it\n"
                  "allowed  anna subscribes to news/today: " +
                  rules +
                  ":2: topic read news/#\n"
                  "refused  anna subscribes to news/#: " +
                  rules + ":3: topic deny news/secret\n");
    EXPECT_EQ(answer.status.code, 1);
    EXPECT_EQ(ask({"--subscribe", "a/#/b"}).status.code, 2);
    EXPECT_EQ(ask({}).status.code, 2);
    EXPECT_EQ(stentor({"check", "--publish", "x"}).status.code, 2);
    EXPECT_THAT(stentor({"check", "--as", "", "--publish", "x"}).out,
                HasSubstr("allowed  a client without a name publishes to x: there are no rules"));
    EXPECT_THAT(stentor({"check", "--as", "anna", "--subscribe", "$share/g/$SYS/#"}).out,
                HasSubstr("refused  anna subscribes to $share/g/$SYS/#: no rule is needed: only "
                          "admins read there"));
}

TEST(Check, SaysWhichRolesRuleDecides) {
    const kit::TempDir dir;
    const std::string rules = dir.write("acl",
                                        "role meter\n"
                                        "member anna\n"
                                        "pattern write meters/%u/#\n"
                                        "role reader\n"
                                        "topic read news/#\n"
                                        "topic deny news/secret\n");
    const auto ask = [&](std::vector<std::string> more) {
        std::vector<std::string> all{"check", "--set", "auth.acl_file=" + rules, "--as", "anna"};
        all.insert(all.end(), more.begin(), more.end());
        return stentor(all);
    };
    Finished answer = ask({"--publish", "meters/anna/1", "--subscribe", "news/today"});
    EXPECT_EQ(answer.out,
              "allowed  anna publishes to meters/anna/1: " + rules +
                  ":3: pattern write meters/%u/# (role meter)\n"
                  "refused  anna subscribes to news/today: no rule of " +
                  rules + " allows it\n");
    EXPECT_EQ(answer.status.code, 1);
    answer = ask({"--role", "meter", "--role", "reader", "--subscribe", "news/today"});
    EXPECT_EQ(answer.out,
              "allowed  anna subscribes to news/today: " + rules +
                  ":5: topic read news/# (role reader)\n");
    EXPECT_EQ(answer.status.code, 0) << answer.err;
    answer = ask({"--role", "reader", "--subscribe", "news/#"});
    EXPECT_EQ(answer.out,
              "refused  anna subscribes to news/#: " + rules +
                  ":6: topic deny news/secret (role reader)\n");
    answer = ask({"--role", "raeder", "--subscribe", "news/#"});
    EXPECT_EQ(answer.status.code, 2);
    EXPECT_THAT(answer.err, HasSubstr("--role: \"raeder\" is not a role of the ACL file"));
    EXPECT_THAT(stentor({"check", "--set", "auth.acl_file=" + rules}).out,
                HasSubstr("3 in " + rules + ", roles: 2"));
}

TEST(Check, ReportsEveryMistakeOfAFile) {
    const kit::TempDir dir;
    const Finished check = stentor({"check",
                                    "-c",
                                    dir.write("stentor.toml",
                                              "[limits]\n"
                                              "receive_maximun = 10\n"
                                              "packet_bytes_max = 1000\n")});
    EXPECT_EQ(check.status.code, 2);
    EXPECT_THAT(check.err, HasSubstr(dir.file("stentor.toml") + ":2:1: error: unknown key"));
    EXPECT_THAT(check.err, HasSubstr("did you mean \"receive_maximum\"?"));
    EXPECT_THAT(check.err, HasSubstr(":3:20: error: limits.packet_bytes_max: the number 1000 has"));
    EXPECT_EQ(check.out, "");
}

TEST(Check, ReadsTheEnvironment) {
    const Finished check = stentor({"check"}, "", {"STENTOR_AUTH__ANONYMUS=never"});
    EXPECT_EQ(check.status.code, 2);
    EXPECT_THAT(check.err, HasSubstr("did you mean \"STENTOR_AUTH__ANONYMOUS\"?"));
}

TEST(Check, ReadsUsersAndRules) {
    const kit::TempDir dir;
    const std::string acl = dir.write("acl", "user anna\ntopic read a/#\n");
    const std::string users = dir.write("users", "carol:hunter2\n");
    const auto check = [&] {
        return stentor({"check",
                        "--listen",
                        "mqtt://127.0.0.1:0",
                        "--data",
                        ":memory:",
                        "--set",
                        "auth.acl_file=" + acl,
                        "--set",
                        "auth.password_file=" + users});
    };
    const Finished bad = check();
    EXPECT_EQ(bad.status.code, 2);
    EXPECT_THAT(bad.err, HasSubstr("users:1:7: error: not a hash that stentor knows"));
    EXPECT_THAT(bad.err, Not(HasSubstr("hunter2")));
    dir.write("users", "# nobody yet\n");
    const Finished good = check();
    EXPECT_EQ(good.status.code, 0) << good.err;
    EXPECT_THAT(good.out, HasSubstr("0 in " + users));
    EXPECT_THAT(good.out, HasSubstr("1 in " + acl));
}

TEST(Check, SaysHowToGetAFileThatIsMissing) {
    const kit::TempDir dir;
    const auto check = [&dir](const std::vector<std::string>& settings) {
        std::vector<std::string> arguments{
            "check", "--set", "listener.url=auto://127.0.0.1:0", "--data", ":memory:"};
        for (const std::string& setting : settings) {
            arguments.insert(arguments.end(), {"--set", setting});
        }
        return stentor(arguments);
    };
    const std::string missing = dir.file("missing");
    const Finished users = check({"auth.password_file=" + missing});
    EXPECT_EQ(users.status.code, 2);
    EXPECT_THAT(users.err,
                HasSubstr("auth.password_file: error: cannot read " + missing +
                          ": No such file or directory\n     = `stentor user add " + missing +
                          " NAME` makes it\n"));
    const Finished rules = check({"auth.acl_file=" + missing});
    EXPECT_EQ(rules.status.code, 2);
    EXPECT_THAT(rules.err, HasSubstr("auth.acl_file: error: cannot read " + missing));
    EXPECT_THAT(rules.err, HasSubstr("leave acl_file out"));
    const Finished pair = check({"listener.tls.certificate=" + missing, "listener.tls.key=x"});
    EXPECT_EQ(pair.status.code, 1);
    EXPECT_THAT(pair.err, HasSubstr("cannot use the certificate in " + missing));
    EXPECT_THAT(pair.err, HasSubstr("`stentor init` makes an authority, a certificate and its"));
}

TEST(Cli, AMissingFileIsShownWhereItWasNamed) {
    const kit::TempDir dir;
    const std::string file = dir.write("stentor.toml",
                                       "[node]\ndata_dir = \":memory:\"\n"
                                       "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n"
                                       "[auth]\nacl_file = \"/nowhere/acl\"\n");
    for (const char* command : {"check", "serve"}) {
        SCOPED_TRACE(command);
        const Finished done = stentor({command, "-c", file});
        EXPECT_EQ(done.status.code, 2);
        EXPECT_THAT(done.err,
                    HasSubstr(file + ":6:12: error: auth.acl_file: cannot read /nowhere/acl: "
                                     "No such file or directory\n"));
        EXPECT_THAT(done.err, HasSubstr("   6 | acl_file = \"/nowhere/acl\"\n"));
        EXPECT_THAT(done.err, HasSubstr("^~~~"));
    }
}

TEST(Cli, ACertificateThatCannotBeUsedIsShownWhereItWasNamed) {
    const kit::TempDir dir;
    const std::string file =
        dir.write("stentor.toml",
                  "[node]\ndata_dir = \":memory:\"\n"
                  "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n"
                  "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\n"
                  "tls = { certificate = \"/nowhere/crt\", key = \"/nowhere/key\" }\n");
    const Finished done = stentor({"check", "-c", file});
    EXPECT_EQ(done.status.code, 1);
    EXPECT_THAT(done.err,
                HasSubstr(file + ":7:23: error: listener.1.tls.certificate: mqtts://127.0.0.1:0: "
                                 "cannot use the certificate in /nowhere/crt"));
    EXPECT_THAT(done.err, HasSubstr("   7 | tls = { certificate = \"/nowhere/crt\""));
    EXPECT_THAT(done.err, HasSubstr("|                       ^~~~"));
}

TEST(Check, WarnsOfSessionsThatNeverOutliveTheirConnection) {
    const Finished check = stentor({"check",
                                    "--listen",
                                    "mqtt://127.0.0.1:0",
                                    "--data",
                                    ":memory:",
                                    "--set",
                                    "limits.session_expiry_max=0s"});
    EXPECT_EQ(check.status.code, 0);
    EXPECT_THAT(check.err, HasSubstr("warning: every session ends with its connection"));
}

TEST(Cli, ServeSaysWhatToDoAboutADirectoryThatCannotBeMade) {
    const Finished serve =
        stentor({"serve", "--listen", "mqtt://127.0.0.1:0", "--data", "/proc/stentor"});
    EXPECT_EQ(serve.status.code, 1);
    EXPECT_THAT(serve.err, HasSubstr("cannot open the store in /proc/stentor: "));
    EXPECT_THAT(serve.err, HasSubstr("give a directory that this user can make, --data DIR"));
}

/// A port of 127.0.0.1 that this process listens on.
class TakenPort {
  public:
    TakenPort() : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(::listen(fd_, 1), 0);
        EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
        url_ = "mqtt://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    }
    TakenPort(const TakenPort&) = delete;
    TakenPort& operator=(const TakenPort&) = delete;
    ~TakenPort() { ::close(fd_); }

    [[nodiscard]] const std::string& url() const noexcept { return url_; }

  private:
    int fd_;
    std::string url_;
};

TEST(Check, NamesWhoHoldsThePort) {
    const TakenPort taken;
    const Finished check = stentor({"check", "--listen", taken.url(), "--data", ":memory:"});
    EXPECT_EQ(check.status.code, 1);
    EXPECT_THAT(check.err,
                HasSubstr("cannot listen on " + taken.url() + ": the port is in use by "));
    EXPECT_THAT(check.err, HasSubstr("(pid " + std::to_string(::getpid()) + ")"));
}

TEST(Cli, ServeNamesWhoHoldsThePort) {
    const TakenPort taken;
    const Finished serve = stentor({"serve", "--listen", taken.url(), "--data", ":memory:"});
    EXPECT_EQ(serve.status.code, 1);
    EXPECT_THAT(serve.out, Not(HasSubstr("listening url=")));
    EXPECT_THAT(serve.err,
                HasSubstr("cannot listen on " + taken.url() + ": the port is in use by "));
    EXPECT_THAT(serve.err, HasSubstr("(pid " + std::to_string(::getpid()) + ")"));
    EXPECT_THAT(serve.err, HasSubstr("picks a free port"));
}

TEST(Check, SaysWhenTheDataDirectoryCannotBe) {
    const kit::TempDir dir;
    const Finished check = stentor(
        {"check", "--listen", "mqtt://127.0.0.1:0", "--data", dir.write("file", "") + "/data"});
    EXPECT_EQ(check.status.code, 1);
    EXPECT_THAT(check.err, HasSubstr("is not a directory"));

    // Root may do anything there, and nothing can be done.
    const Finished proc =
        stentor({"check", "--listen", "mqtt://127.0.0.1:0", "--data", "/proc/nope/data"});
    EXPECT_EQ(proc.status.code, 1);
    EXPECT_THAT(proc.err, HasSubstr("the data directory /proc/nope/data cannot be made: "));
    EXPECT_THAT(proc.out, Not(HasSubstr("will be made")));
}

TEST(Check, PrintsItsReferenceAndAnExampleThatIsValid) {
    const kit::TempDir dir;
    EXPECT_THAT(stentor({"check", "--print-reference"}).out, StartsWith("# Configuration\n"));
    const std::string file = dir.write("stentor.toml", stentor({"check", "--print-example"}).out);
    const Finished check = stentor({"check", "-c", file, "--listen", "mqtt://127.0.0.1:0"});
    EXPECT_EQ(check.status.code, 0) << check.err;
}

std::string content(const std::string& path) {
    std::ifstream file{path};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

TEST(User, AddsChangesListsAndDeletes) {
    const kit::TempDir dir;
    const std::string file = dir.file("users");
    const auto user = [&](const char* action, const char* name, std::string_view password = "") {
        std::vector<std::string> arguments{"user", action, file, name};
        if (!password.empty()) arguments.insert(arguments.end(), {"--password-file", "-"});
        return stentor(arguments, password);
    };
    EXPECT_EQ(user("add", "anna", "secret\n").status.code, 0);
    struct stat facts {};
    ASSERT_EQ(::stat(file.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
    const std::string first = content(file);
    EXPECT_THAT(first, StartsWith("anna:$argon2id$v=19$"));
    EXPECT_THAT(first, Not(HasSubstr("secret")));

    EXPECT_EQ(user("add", "bob", "other").status.code, 0);
    EXPECT_THAT(content(file), StartsWith(first));
    EXPECT_EQ(stentor({"user", "list", file}).out, "anna\nbob\n");

    const Finished again = user("add", "anna", "x\n");
    EXPECT_EQ(again.status.code, 1);
    EXPECT_THAT(again.err, HasSubstr("\"anna\" exists already"));
    EXPECT_EQ(user("passwd", "anna", "new\n").status.code, 0);
    EXPECT_THAT(content(file), Not(HasSubstr(first)));

    EXPECT_EQ(user("del", "bob").status.code, 0);
    EXPECT_EQ(stentor({"user", "list", file}).out, "anna\n");
    EXPECT_EQ(user("del", "bob").status.code, 1);
    EXPECT_EQ(user("passwd", "bob", "x\n").status.code, 1);
}

TEST(User, RefusesWhatMakesNoSense) {
    const kit::TempDir dir;
    const Finished no_terminal = stentor({"user", "add", dir.file("users"), "anna"});
    EXPECT_EQ(no_terminal.status.code, 2);
    EXPECT_THAT(no_terminal.err, HasSubstr("--password-file -"));
    const Finished empty =
        stentor({"user", "add", dir.file("users"), "anna", "--password-file", "-"}, "\n");
    EXPECT_EQ(empty.status.code, 1);
    EXPECT_THAT(empty.err, HasSubstr("an empty password is no password"));
    EXPECT_FALSE(std::filesystem::exists(dir.file("users")));
    EXPECT_EQ(
        stentor({"user", "add", dir.file("users"), "a:b", "--password-file", "-"}, "x").status.code,
        2);
    const Finished missing = stentor({"user", "list", dir.file("users")});
    EXPECT_EQ(missing.status.code, 1);
    EXPECT_THAT(missing.err, HasSubstr("does not exist"));
    const std::string broken = dir.write("broken", "carol:hunter2\n");
    const Finished refused = stentor({"user", "add", broken, "anna", "--password-file", "-"}, "x");
    EXPECT_EQ(refused.status.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("broken:1:7: error"));
    EXPECT_EQ(content(broken), "carol:hunter2\n");
}

}  // namespace
}  // namespace stentor
