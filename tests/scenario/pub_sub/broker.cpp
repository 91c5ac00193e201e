#include "tests/scenario/pub_sub/broker.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace stentor::scenario {
namespace {

constexpr int kPortAttempts = 5;  // another program may take a free port before the broker does

std::string mosquitto_program() {
    // Debian puts it where an ordinary user's PATH does not look.
    for (const auto* path :
         {"/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"}) {
        if (std::filesystem::exists(path)) return path;
    }
    throw std::runtime_error("mosquitto is not installed");
}

void must_run(std::vector<std::string> command) {
    const auto done = kit::run(std::move(command));
    if (done.status.code != 0) throw std::runtime_error("openssl failed: " + done.err);
}

class MosquittoBroker final : public Broker {
  public:
    explicit MosquittoBroker(BrokerNeeds needs) { needs_ = std::move(needs); }

    bool spawn() override {
        // By itself it drops what is more than 1000 messages behind: thousands of lines are sent.
        auto config = fmt::format("max_queued_messages 0\nlistener {} 127.0.0.1\n", port_);
        if (needs_.unix_socket) config += fmt::format("listener 0 {}\n", unix_path());
        if (needs_.tls) {
            const auto& made = certificates();
            config += fmt::format(
                "listener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n"
                "require_certificate {}\n",
                tls_port_,
                made.ca,
                needs_.tls_wrong_name ? made.wrong_name : made.server,
                needs_.tls_wrong_name ? made.wrong_name_key : made.server_key,
                needs_.tls_client_certificate ? "true" : "false");
        }
        if (needs_.password) {
            const auto file = dir_.write("passwords", "");
            must_run({"mosquitto_passwd", "-b", file, "ann", *needs_.password});
            config += fmt::format("allow_anonymous false\npassword_file {}\n", file);
        } else {
            config += "allow_anonymous true\n";
        }
        // Started by root it would become user mosquitto, who cannot read our files.
        config += "user root\n";
        process_.emplace(std::vector<std::string>{
            mosquitto_program(), "-c", dir_.write("mosquitto.conf", config), "-v"});
        try {
            process_->wait_for_line(kit::Stream::err, " running");
            return true;
        } catch (const kit::Timeout&) {
            if (process_->running()) throw;
            return false;
        }
    }
};

class StentorBroker final : public Broker {
  public:
    explicit StentorBroker(BrokerNeeds needs) { needs_ = std::move(needs); }

    bool spawn() override {
        const std::string_view plain = needs_.web_socket ? "ws" : "mqtt";
        const std::string_view path = needs_.web_socket ? "/mqtt" : "";
        auto config =
            fmt::format("[[listener]]\nurl = \"{}://127.0.0.1:{}{}\"\n", plain, port_, path);
        if (needs_.unix_socket) {
            config += fmt::format("[[listener]]\nurl = \"unix://{}\"\n", unix_path());
        }
        if (needs_.tls) {
            const auto& made = certificates();
            config += fmt::format(
                "[[listener]]\nurl = \"{}://127.0.0.1:{}{}\"\n[listener.tls]\n"
                "certificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n"
                "client_certificate = \"{}\"\n",
                needs_.web_socket ? "wss" : "mqtts",
                tls_port_,
                path,
                needs_.tls_wrong_name ? made.wrong_name : made.server,
                needs_.tls_wrong_name ? made.wrong_name_key : made.server_key,
                made.ca,
                needs_.tls_client_certificate ? "required" : "none");
        }
        if (needs_.password) {
            const auto file = dir_.file("passwords");
            const auto made =
                kit::run({stentor_program(), "user", "add", file, "ann", "--password-file", "-"},
                         *needs_.password + "\n");
            if (made.status.code != 0) throw std::runtime_error("user add failed: " + made.err);
            config += fmt::format("[auth]\npassword_file = \"{}\"\nanonymous = \"never\"\n", file);
        }
        std::vector<std::string> command{
            stentor_program(), "serve", "-c", dir_.write("stentor.toml", config)};
        command.insert(command.end(), {"--data", dir_.file("data")});
        process_.emplace(std::move(command));
        try {
            process_->wait_for_line_if(kit::Stream::out, [](std::string_view line) {
                return line == "ready" || line.find("\"ready\"") != line.npos;
            });
            return true;
        } catch (const kit::Timeout&) {
            if (process_->running()) throw;
            return false;
        }
    }
};

}  // namespace

std::string stentor_program() {
    const char* given = std::getenv("STENTOR_BINARY");
    return given != nullptr ? given : STENTOR_BUILT_BINARY;
}

std::string to_string(BrokerKind kind) {
    return kind == BrokerKind::mosquitto ? "Mosquitto" : "Stentor";
}

const Certificates& certificates() {
    static const kit::TempDir dir;
    static const Certificates made = [] {
        const auto authority = [](const std::string& name) {
            const auto file = dir.file(name + ".crt");
            must_run({"openssl",
                      "req",
                      "-x509",
                      "-newkey",
                      "ec",
                      "-pkeyopt",
                      "ec_paramgen_curve:P-256",
                      "-nodes",
                      "-days",
                      "2",
                      "-subj",
                      "/CN=" + name,
                      "-keyout",
                      dir.file(name + ".key"),
                      "-out",
                      file});
            return file;
        };
        const auto signed_by_ca = [](const std::string& name, const std::string& names) {
            must_run({"openssl",
                      "req",
                      "-newkey",
                      "ec",
                      "-pkeyopt",
                      "ec_paramgen_curve:P-256",
                      "-nodes",
                      "-subj",
                      "/CN=" + name,
                      "-keyout",
                      dir.file(name + ".key"),
                      "-out",
                      dir.file(name + ".csr")});
            const auto extensions = dir.write(name + ".ext", "subjectAltName=" + names + "\n");
            must_run({"openssl",
                      "x509",
                      "-req",
                      "-days",
                      "2",
                      "-in",
                      dir.file(name + ".csr"),
                      "-CA",
                      dir.file("ca.crt"),
                      "-CAkey",
                      dir.file("ca.key"),
                      "-CAcreateserial",
                      "-extfile",
                      extensions,
                      "-out",
                      dir.file(name + ".crt")});
        };
        Certificates files;
        files.ca = authority("ca");
        files.other_ca = authority("other");
        signed_by_ca("server", "DNS:localhost,IP:127.0.0.1");
        signed_by_ca("wrong", "DNS:elsewhere.example");
        signed_by_ca("client", "DNS:client");
        files.server = dir.file("server.crt");
        files.server_key = dir.file("server.key");
        files.wrong_name = dir.file("wrong.crt");
        files.wrong_name_key = dir.file("wrong.key");
        files.client = dir.file("client.crt");
        files.client_key = dir.file("client.key");
        return files;
    }();
    return made;
}

std::unique_ptr<Broker> Broker::start(BrokerKind kind, BrokerNeeds needs) {
    std::unique_ptr<Broker> broker;
    if (kind == BrokerKind::mosquitto) {
        broker = std::make_unique<MosquittoBroker>(std::move(needs));
    } else {
        broker = std::make_unique<StentorBroker>(std::move(needs));
    }
    for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
        broker->port_ = kit::free_port();
        broker->tls_port_ = kit::free_port();
        if (broker->port_ != broker->tls_port_ && broker->spawn()) return broker;
    }
    throw std::runtime_error("the broker does not start: " +
                             broker->process_->output(kit::Stream::err));
}

void Broker::kill() {
    process_->kill();
    process_->wait();
}

void Broker::start_again() {
    if (!spawn()) {
        throw std::runtime_error("the broker does not start again: " +
                                 process_->output(kit::Stream::err));
    }
}

}  // namespace stentor::scenario
