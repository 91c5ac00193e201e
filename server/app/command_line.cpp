#include "server/app/command_line.hpp"

#include "base/suggest.hpp"
#include "server/app/exit_code.hpp"
#include "server/app/tool_commands.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace stentor::app {
namespace {

constexpr const char* kFooter =
    "`stentor COMMAND --help` says more about one command.\n"
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration.";

void add_sources(CLI::App& app, config::Sources& sources) {
    app.add_option("-c,--config", sources.file, "configuration file (TOML)")->type_name("FILE");
    app.add_option("--listen",
                   sources.listen,
                   "listen here instead of where the file says; "
                   "may be repeated")
        ->type_name("URL")
        ->expected(1)
        ->take_all();
    app.add_option("--data", sources.data_dir, "data directory; :memory: keeps nothing")
        ->type_name("DIR");
    app.add_option("--set", sources.settings, "set one key of the configuration; may be repeated")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all();
}

/// CLI11 takes -1 for the largest unsigned number, and 010 for eight.
std::uint64_t whole_number(const std::string& option, const std::string& text) {
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    std::uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || number > kMax) {
        throw CLI::ValidationError{
            option, "'" + text + "' is not a whole number from 0 to " + std::to_string(kMax)};
    }
    return number;
}

template <class Number>
void add_number(CLI::App& app,
                const std::string& option,
                const std::string& type,
                const std::string& description,
                Number& target) {
    const auto take = [option, &target](const std::string& text) {
        target = whole_number(option, text);
    };
    app.add_option_function<std::string>(option, take, description)->type_name(type);
}

/// The parser and what it fills; one per call.
class Parser {
  public:
    Parser() {
        app_.name("stentor");
        app_.footer(kFooter);
        app_.set_version_flag("--version", std::string{"see `stentor version`"});
        app_.allow_extras();
        add_serve();
        add_check();
        add_init();
        add_import();
        add_user();
        add_store();
        add_health();
        app_.add_subcommand("version", "version, commit, build and libraries")->callback([this] {
            command_ = VersionArguments{};
        });
        for (const ToolCommand& tool : tool_commands()) {
            app_.add_subcommand(std::string{tool.name}, std::string{tool.description});
        }
        for (CLI::App* each : app_.get_subcommands({})) each->allow_extras();
    }

    Command parse(std::vector<std::string> arguments) {
        std::reverse(arguments.begin(), arguments.end());  // CLI11 wants the first one last
        try {
            app_.parse(std::move(arguments));
        } catch (const CLI::ParseError& error) {
            // Help and version are exceptions, too; their code is 0.
            if (error.get_exit_code() != 0) return fail(error.what(), deepest());
            if (const auto failed = complain_about_command()) return *failed;
            if (dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr) {
                return VersionArguments{};
            }
            app_.exit(error);
            return Done{kExitOk};
        }
        if (const auto failed = complain_about_extras()) return *failed;
        if (const auto failed = complain_about_nothing()) return *failed;
        if (app_.get_subcommands().empty()) {
            std::cerr << app_.help();
            return Done{kExitUsage};
        }
        return std::move(command_);
    }

  private:
    void add_serve() {
        CLI::App* app = app_.add_subcommand("serve", "run the broker in the foreground");
        add_sources(*app, serve_.sources);
        app->footer(
            "Without a configuration file: mqtt://127.0.0.1:1883, this machine only.\n"
            "TERM and INT drain and stop, a second one stops at once; HUP reloads.");
        app->callback([this] { command_ = serve_; });
    }

    void add_check() {
        CLI::App* app = app_.add_subcommand(
            "check", "validate configuration, users, rules, store, certificates and listeners");
        add_sources(*app, check_.sources);
        app->add_flag_callback(
            "--print-reference",
            [this] { check_.print = CheckArguments::Print::reference; },
            "print all keys of the configuration as Markdown");
        app->add_flag_callback(
            "--print-example",
            [this] { check_.print = CheckArguments::Print::example; },
            "print a commented configuration file");
        RuleQuestion& question = check_.question;
        CLI::Option* as = app->add_option("--as",
                                          question.user,
                                          "ask what the rules allow this user, and which of them "
                                          "says so; \"\": a client without a name")
                              ->type_name("USER");
        app->add_option("--client-id", question.client_id, "whose %c the rules mean")
            ->type_name("ID")
            ->needs(as);
        app->add_option("--role",
                        question.roles,
                        "a role that its token or the web service would name. May be repeated")
            ->type_name("NAME")
            ->expected(1)
            ->take_all()
            ->needs(as);
        CLI::Option* publish =
            app->add_option("--publish", question.publish, "may it publish there? May be repeated")
                ->type_name("TOPIC")
                ->expected(1)
                ->take_all()
                ->needs(as);
        CLI::Option* subscribe =
            app->add_option("--subscribe", question.subscribe, "may it read there? May be repeated")
                ->type_name("FILTER")
                ->expected(1)
                ->take_all()
                ->needs(as);
        app->footer("With --as: 0 all is allowed, 1 some is refused, 2 a mistake.");
        app->callback([this, as, publish, subscribe] {
            if (as->count() != 0 && publish->count() + subscribe->count() == 0) {
                throw CLI::RequiredError{"--publish TOPIC or --subscribe FILTER"};
            }
            command_ = check_;
        });
    }

    void add_init() {
        CLI::App* app =
            app_.add_subcommand("init", "make a configuration, certificates and an administrator");
        app->add_option("DIR", init_.directory, "where; made if it is missing")
            ->capture_default_str();
        app->add_option("--host",
                        init_.hosts,
                        "name or address that clients use, for the server's certificate; may be "
                        "repeated (default: this machine's name, localhost, 127.0.0.1, ::1)")
            ->expected(1)
            ->take_all();
        app->add_option("--client",
                        init_.clients,
                        "make a client certificate for this user, too; may be repeated")
            ->expected(1)
            ->take_all();
        app->footer(
            "Nothing that exists is overwritten. With a configuration there already, only "
            "the certificates of --client are made.");
        app->callback([this] { command_ = init_; });
    }

    void add_import() {
        CLI::App* app = app_.add_subcommand("import", "make a configuration from a mosquitto.conf");
        app->add_option("FILE", import_.file, "mosquitto.conf")->required();
        app->add_option("-o,--output", import_.output, "write here; it must not be there yet")
            ->type_name("FILE");
        app->add_option("--data", import_.data_dir, "data directory, if Mosquitto keeps messages")
            ->type_name("DIR")
            ->capture_default_str();
        app->footer("Lines that do not come along are named on standard error.");
        app->callback([this] { command_ = import_; });
    }

    void add_health() {
        CLI::App* app = app_.add_subcommand("health", "ask a running broker whether it serves");
        app->add_option("URL", health_.url, "its http:// listener, with the path /readyz or /livez")
            ->capture_default_str();
        app->footer("0: it does. 1: it does not, or does not answer within 5 s.");
        app->callback([this] { command_ = health_; });
    }

    void add_user() {
        CLI::App* app = app_.add_subcommand("user", "edit a password file");
        app->require_subcommand(0, 1);
        app->footer("The password is asked for; --password-file - reads it from standard input.");
        add_user_action(*app, "add", "add a user", UserArguments::Action::add);
        add_user_action(*app, "passwd", "change a password", UserArguments::Action::passwd);
        add_user_action(*app, "del", "delete a user", UserArguments::Action::del);
        add_user_action(*app, "list", "list the users", UserArguments::Action::list);
        user_ = app;
    }

    void add_user_action(CLI::App& parent,
                         const std::string& name,
                         const std::string& description,
                         UserArguments::Action action) {
        CLI::App* app = parent.add_subcommand(name, description);
        app->allow_extras();
        app->add_option("FILE", user_arguments_.file, "password file")->required();
        if (action != UserArguments::Action::list) {
            app->add_option("NAME", user_arguments_.name, "user name")->required();
        }
        if (action == UserArguments::Action::add || action == UserArguments::Action::passwd) {
            app->add_option("--password-file",
                            user_arguments_.password_file,
                            "read the password from the first line of FILE; -: standard input")
                ->type_name("FILE");
            app->add_flag("--scram",
                          user_arguments_.scram,
                          "for SCRAM-SHA-256 (MQTT 5.0), which does not send the password; "
                          "with the password works too");
        }
        app->callback([this, action] {
            user_arguments_.action = action;
            command_ = user_arguments_;
        });
    }

    void add_store() {
        using Action = StoreArguments::Action;
        CLI::App* app = app_.add_subcommand("store", "check, copy or look into a data directory");
        app->require_subcommand(0, 1);
        app->footer("backup, stats and dump work while a broker runs on the directory.");
        store_ = app;
        add_store_action(*app, "check", "verify all of a store that no broker uses", Action::check);
        CLI::App* backup =
            add_store_action(*app,
                             "backup",
                             "copy a store, also one in use; a broker can start there",
                             Action::backup);
        backup->add_option("DEST", store_arguments_.destination, "directory to make")->required();
        add_store_action(
            *app, "stats", "what it holds, and what keeps it from shrinking", Action::stats);
        CLI::App* dump = add_store_action(*app, "dump", "print the log's records", Action::dump);
        add_number(*dump, "--from", "SEQ", "first position", store_arguments_.from);
        add_number(*dump, "--to", "SEQ", "last position", store_arguments_.to);
        dump->add_option("--topic", store_arguments_.topic, "only messages that match")
            ->type_name("FILTER");
        dump->add_option("--client", store_arguments_.client, "only what is about this client")
            ->type_name("ID");
        add_number(*dump,
                   "--payload",
                   "BYTES",
                   "show so many bytes of payloads; the default is their size only",
                   store_arguments_.payload_bytes_max);
    }

    CLI::App* add_store_action(CLI::App& parent,
                               const std::string& name,
                               const std::string& description,
                               StoreArguments::Action action) {
        CLI::App* app = parent.add_subcommand(name, description);
        app->allow_extras();
        app->add_option("DIR", store_arguments_.directory, "data directory")->required();
        app->add_flag("--json", store_arguments_.json, "print JSON");
        app->callback([this, action] {
            store_arguments_.action = action;
            command_ = store_arguments_;
        });
        return app;
    }

    /// The command that was being read.
    [[nodiscard]] const CLI::App& deepest() const {
        const CLI::App* app = &app_;
        while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
        return *app;
    }

    [[nodiscard]] std::string name_of(const CLI::App& app) const {
        std::string name;
        for (const CLI::App* each = &app; each != nullptr; each = each->get_parent()) {
            if (!name.empty()) name.insert(0, " ");
            name.insert(0, each->get_name());
        }
        return name;
    }

    Command fail(const std::string& what, const CLI::App& app, const std::string& hint = {}) const {
        std::cerr << "stentor: " << what << '\n';
        if (!hint.empty()) std::cerr << "  " << hint << '\n';
        std::cerr << "  see `" << name_of(app) << " --help`\n";
        return Done{kExitUsage};
    }

    /// `user` and `store` alone.
    [[nodiscard]] std::optional<Command> complain_about_nothing() const {
        const CLI::App& app = deepest();
        if (&app == user_) {
            return fail("what shall be done with the users?", app, "add, passwd, del or list");
        }
        if (&app == store_) {
            return fail("what shall be done with the store?", app, "check, backup, stats or dump");
        }
        return std::nullopt;
    }

    /// Help about a command that there is none of would be help about something else.
    [[nodiscard]] std::optional<Command> complain_about_command() const {
        const std::vector<std::string> extras = app_.remaining(true);
        const bool has_commands = !deepest().get_subcommands({}).empty();
        if (extras.empty() || extras.front().starts_with('-') || !has_commands) {
            return std::nullopt;
        }
        return complain_about_extras();
    }

    [[nodiscard]] std::optional<Command> complain_about_extras() const {
        const CLI::App& app = deepest();
        const std::vector<std::string> extras = app_.remaining(true);
        if (extras.empty()) return std::nullopt;
        const std::string& word = extras.front();
        const bool flag = word.starts_with('-');
        const std::string_view bare = std::string_view{word}.substr(0, word.find('='));
        std::vector<std::string> names;
        if (flag) {
            for (const CLI::Option* option : app.get_options()) {
                for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
            }
        } else {
            for (const CLI::App* each : app.get_subcommands({})) names.push_back(each->get_name());
        }
        const std::vector<std::string_view> candidates{names.begin(), names.end()};
        const std::string_view guess = nearest(bare, candidates);
        const bool is_command = !flag && !names.empty();
        const std::string kind = flag         ? "unknown flag"
                                 : is_command ? "unknown command"
                                              : "one word too many:";
        std::string hint;
        if (!guess.empty()) hint = "did you mean `" + std::string{guess} + "`?";
        return fail(
            kind + " `" + std::string{flag ? bare : std::string_view{word}} + '`', app, hint);
    }

    CLI::App app_{"Stentor, an MQTT 3.1.1 and 5.0 broker"};
    const CLI::App* user_ = nullptr;
    const CLI::App* store_ = nullptr;
    ServeArguments serve_;
    CheckArguments check_;
    InitArguments init_;
    ImportArguments import_;
    HealthArguments health_;
    UserArguments user_arguments_;
    StoreArguments store_arguments_;
    Command command_ = Done{kExitUsage};
};

}  // namespace

Command parse_command_line(const std::vector<std::string>& arguments) {
    if (!arguments.empty()) {
        // These have letters that mean something else here (-h is a host).
        for (const ToolCommand& tool : tool_commands()) {
            if (arguments.front() != tool.name) continue;
            return ToolArguments{.command = arguments.front(),
                                 .arguments = {arguments.begin() + 1, arguments.end()}};
        }
    }
    return Parser{}.parse(arguments);
}

}  // namespace stentor::app
