#include "server/app/user_command.hpp"

#include "auth/password_file.hpp"
#include "server/app/access.hpp"
#include "server/app/atomic_file.hpp"
#include "server/app/exit_code.hpp"
#include "server/config/text_file.hpp"

#include <openssl/crypto.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <utility>

namespace stentor::app {
namespace {

constexpr std::size_t kPasswordBytesMax = 65'535;  // what CONNECT can carry

int complain(int code, std::string_view what, std::string_view hint = "") {
    std::cerr << "stentor user: " << what << '\n';
    if (!hint.empty()) std::cerr << "  " << hint << '\n';
    return code;
}

/// Overwritten when it goes out of scope.
struct Secret {
    std::string text;

    Secret() = default;
    explicit Secret(std::string secret) : text{std::move(secret)} {}
    Secret(Secret&&) = default;
    Secret& operator=(Secret&&) = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { OPENSSL_cleanse(text.data(), text.size()); }
};

/// Terminal echo off while it lives, one at a time; on again also when a signal ends the process.
class EchoOff {
  public:
    EchoOff() noexcept {
        if (::tcgetattr(STDIN_FILENO, &before) != 0) return;
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            struct sigaction action {};
            action.sa_handler = &restore_and_end;
            action.sa_flags = static_cast<int>(SA_RESETHAND);
            (void)::sigaction(kSignals[i], &action, &actions_[i]);
        }
        termios quiet = before;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        active_ = true;
    }
    EchoOff(const EchoOff&) = delete;
    EchoOff& operator=(const EchoOff&) = delete;
    ~EchoOff() {
        if (active_) {
            ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
            for (std::size_t i = 0; i < kSignals.size(); ++i) {
                (void)::sigaction(kSignals[i], &actions_[i], nullptr);
            }
        }
        std::cerr << '\n';
    }

  private:
    static constexpr std::array<int, 4> kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    /// The default action follows when it returns (SA_RESETHAND).
    static void restore_and_end(int signal) {
        ::tcsetattr(STDIN_FILENO, TCSANOW, &before);
        ::raise(signal);
    }

    static termios before;  // for the handler
    std::array<struct sigaction, kSignals.size()> actions_{};
    bool active_ = false;
};
termios EchoOff::before{};

Secret prompt(const std::string& question) {
    const EchoOff quiet;
    std::cerr << question << std::flush;
    Secret answer;
    std::getline(std::cin, answer.text);
    return answer;
}

/// The first line of the stream.
std::optional<Secret> read_password(const UserArguments& arguments) {
    Secret password;
    if (arguments.password_file) {
        std::ifstream file;
        const bool from_stdin = *arguments.password_file == "-";
        if (!from_stdin) {
            file.open(*arguments.password_file);
            if (!file) {
                complain(kExitFailed, "cannot read " + *arguments.password_file);
                return std::nullopt;
            }
        }
        std::getline(from_stdin ? std::cin : file, password.text);
        if (password.text.ends_with('\r')) password.text.pop_back();
    } else {
        password = prompt("Password for " + arguments.name + ": ");
        const Secret again = prompt("The same again: ");
        if (password.text != again.text) {
            complain(kExitFailed, "the two passwords differ");
            return std::nullopt;
        }
    }
    if (password.text.empty() || password.text.size() > kPasswordBytesMax) {
        complain(kExitFailed,
                 password.text.empty() ? "an empty password is no password"
                                       : "MQTT passwords have at most 65535 bytes");
        return std::nullopt;
    }
    return password;
}

/// The text of the file; empty if it does not exist and may be made.
std::optional<std::string> read_existing(const UserArguments& arguments) {
    if (::access(arguments.file.c_str(), F_OK) != 0 && errno == ENOENT) {
        if (arguments.action == UserArguments::Action::add) return std::string{};
        complain(kExitFailed,
                 arguments.file + " does not exist",
                 "`stentor user add " + arguments.file + " NAME` makes it");
        return std::nullopt;
    }
    auto text = config::read_text_file(arguments.file, kAccessFileBytesMax);
    if (!text) {
        complain(kExitFailed, text.error().what, text.error().hint);
        return std::nullopt;
    }
    return *std::move(text);
}

int write_back(const UserArguments& arguments, const std::string& text, std::string_view done) {
    const auto written = replace_file(arguments.file, text);
    if (!written) return complain(kExitFailed, written.error());
    std::cerr << done << " \"" << arguments.name << "\" in " << arguments.file
              << "; a running broker reads it at SIGHUP\n";
    return kExitOk;
}

int set_password(const UserArguments& arguments, const std::string& text, bool scram) {
    const auto password = read_password(arguments);
    if (!password) return kExitFailed;
    const auto hash = scram ? auth::PasswordHash::make_scram(password->text)
                            : auth::PasswordHash::make(password->text);
    if (!hash) return complain(kExitFailed, hash.error());
    const bool added = arguments.action == UserArguments::Action::add;
    const std::string changed = auth::with_user(text, arguments.name, *hash);
    return write_back(arguments,
                      scram ? auth::with_decoy_key(changed) : changed,
                      added ? "added" : "new password for");
}

int usage_error(const UserArguments& arguments) {
    if (arguments.action == UserArguments::Action::list) return kExitOk;
    if (arguments.name.empty()) {
        return complain(kExitUsage, "the user's name is missing", "stentor user --help");
    }
    if (const char* error = auth::user_name_error(arguments.name)) {
        return complain(kExitUsage, error);
    }
    const bool needs_password = arguments.action != UserArguments::Action::del;
    if (needs_password && !arguments.password_file && ::isatty(STDIN_FILENO) == 0) {
        return complain(kExitUsage,
                        "there is no terminal to ask for the password",
                        "--password-file - reads it from standard input");
    }
    return kExitOk;
}

}  // namespace

int run_user(const UserArguments& arguments) {
    if (const int code = usage_error(arguments); code != kExitOk) return code;
    const auto text = read_existing(arguments);
    if (!text) return kExitFailed;
    const auto file = auth::PasswordFile::parse(*text);
    if (!file) {
        const auto errors = read_password_file(arguments.file);
        if (errors.has_error()) std::cerr << config::render(errors.error());
        return kExitFailed;
    }
    const std::vector<std::string>& names = file->user_names();
    const bool known = std::find(names.begin(), names.end(), arguments.name) != names.end();
    const std::string quoted = '"' + arguments.name + '"';
    switch (arguments.action) {
        case UserArguments::Action::list:
            for (const std::string& name : names) std::cout << name << '\n';
            return kExitOk;
        case UserArguments::Action::add:
            if (known) {
                return complain(kExitFailed,
                                quoted + " exists already",
                                "`stentor user passwd` changes the password");
            }
            return set_password(arguments, *text, arguments.scram);
        case UserArguments::Action::passwd:
            if (!known) {
                return complain(
                    kExitFailed, "there is no user " + quoted, "`stentor user add` makes one");
            }
            // Who comes by SCRAM goes on doing so.
            return set_password(
                arguments, *text, arguments.scram || file->scram_user(arguments.name).known);
        case UserArguments::Action::del: {
            const auto rest = auth::without_user(*text, arguments.name);
            if (!rest) return complain(kExitFailed, "there is no user " + quoted);
            return write_back(arguments, *rest, "deleted");
        }
    }
    return kExitUsage;
}

}  // namespace stentor::app
