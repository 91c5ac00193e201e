#include "server/app/init_command.hpp"

#include "auth/certificate_maker.hpp"
#include "auth/password_file.hpp"
#include "auth/password_hash.hpp"
#include "base/random.hpp"
#include "server/app/atomic_file.hpp"
#include "server/app/exit_code.hpp"
#include "server/config/text_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string_view>
#include <system_error>

namespace stentor::app {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours kAuthorityLife{24 * 3650};
constexpr std::chrono::hours kServerLife{24 * 825};  // the most that Apple's devices accept
constexpr std::chrono::hours kClientLife{24 * 825};
constexpr std::size_t kPemBytesMax = std::size_t{64} << 10U;

constexpr std::string_view kConfiguration =
    R"(# Stentor. `stentor check -c stentor.toml` says what is wrong with this file;
# `stentor check --print-example` shows every key with its default.

[node]
data_dir = "stentor-data"

# This machine only, without TLS: for tools and services beside the broker.
[[listener]]
url = "mqtt://127.0.0.1:1883"

# Everybody: MQTT over TLS. (auto:// takes WebSockets on the same port, and what is not encrypted.)
[[listener]]
url = "mqtts://0.0.0.0:8883"
tls = { certificate = "server.crt", key = "server.key" }

# Browsers: secure WebSockets.
[[listener]]
url = "wss://0.0.0.0:8084/mqtt"
tls = { certificate = "server.crt", key = "server.key" }
# Clients with certificates of our authority (`stentor init --client NAME`) instead of passwords:
# add client_ca = "ca.crt", client_certificate = "required" between these braces.

# Services of this machine publish by HTTP; /metrics is there for Prometheus.
[[listener]]
url = "https://127.0.0.1:8443"
tls = { certificate = "server.crt", key = "server.key" }

[store]
acknowledge_after = "disk"   # an acknowledgement means: survives a power cut

[auth]
anonymous = "loopback"       # "never" asks clients on 127.0.0.1 for a password as well
password_file = "users.txt"  # `stentor user add users.txt NAME`
# acl_file = "acl.conf"      # who may publish and subscribe to what, in Mosquitto's syntax

[http]
admins = ["password:admin"]
)";

int complain(const std::string& what, const std::string& hint = {}) {
    std::cerr << "stentor init: " << what << '\n';
    if (!hint.empty()) std::cerr << "  = " << hint << '\n';
    return kExitFailed;
}

/// 96 random bits in letters and digits that cannot be mistaken for one another.
std::string random_password() {
    constexpr std::string_view kLetters = "abcdefghjkmnpqrstuvwxyz23456789_";
    static_assert(kLetters.size() == 32);
    std::string password;
    for (int i = 0; i < 4; ++i) {
        std::uint64_t bits = random_seed();
        for (int j = 0; j < 5; ++j, bits >>= 5U) password += kLetters[bits & 31U];
        if (i < 3) password += '-';
    }
    return password;
}

std::vector<std::string> this_machine() {
    std::vector<std::string> hosts;
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0') {
        hosts.emplace_back(name.data());
    }
    if (hosts.empty() || hosts.front() != "localhost") hosts.emplace_back("localhost");
    hosts.emplace_back("127.0.0.1");
    hosts.emplace_back("::1");
    return hosts;
}

/// With those of the configuration's door on loopback.
std::vector<std::string> all_hosts(const InitArguments& arguments) {
    if (arguments.hosts.empty()) return this_machine();
    std::vector<std::string> hosts = arguments.hosts;
    for (const char* here : {"localhost", "127.0.0.1"}) {
        if (std::find(hosts.begin(), hosts.end(), here) == hosts.end()) hosts.emplace_back(here);
    }
    return hosts;
}

/// The files of one directory; remembers the first failure.
class Writer {
  public:
    explicit Writer(fs::path directory) : directory_{std::move(directory)} {}

    [[nodiscard]] bool exists(const std::string& name) const {
        std::error_code error;
        return fs::exists(directory_ / name, error);
    }
    void write(const std::string& name, std::string_view content, fs::perms rights) {
        if (failure_) return;
        const fs::path path = directory_ / name;
        if (auto written = replace_file(path.string(), content); !written) {
            failure_ = written.error();
            return;
        }
        std::error_code error;
        fs::permissions(path, rights, error);
        if (error) failure_ = path.string() + ": " + error.message();
    }
    void write_pair(const std::string& name, const auth::CertificateAndKey& pair) {
        write(name + ".key", pair.key, kSecret);
        write(name + ".crt", pair.certificate, kPublic);
    }
    [[nodiscard]] Result<std::string, config::ValueError> read(const std::string& name) const {
        return config::read_text_file((directory_ / name).string(), kPemBytesMax);
    }
    [[nodiscard]] const std::optional<std::string>& failure() const { return failure_; }

    static constexpr fs::perms kSecret = fs::perms::owner_read | fs::perms::owner_write;
    static constexpr fs::perms kPublic = kSecret | fs::perms::group_read | fs::perms::others_read;

  private:
    fs::path directory_;
    std::optional<std::string> failure_;
};

/// The authority of the directory, made if there is none.
Result<auth::CertificateMaker, std::string> authority(Writer& files) {
    if (files.exists("ca.crt") && files.exists("ca.key")) {
        const auto certificate = files.read("ca.crt");
        const auto key = files.read("ca.key");
        if (!certificate) return certificate.error().what;
        if (!key) return key.error().what;
        return auth::CertificateMaker::load({*certificate, *key});
    }
    STENTOR_TRY(auto made, auth::CertificateMaker::make("Stentor authority", kAuthorityLife));
    files.write_pair("ca", made.authority());
    return made;
}

Result<void, std::string> make_certificates(const InitArguments& arguments, Writer& files) {
    STENTOR_TRY(const auto maker, authority(files));
    if (!files.exists("server.crt")) {
        const auto hosts = all_hosts(arguments);
        STENTOR_TRY(const auto server, maker.for_server(hosts, kServerLife));
        files.write_pair("server", server);
        std::cout << "  server.crt, server.key  for";
        for (const std::string& host : hosts) std::cout << ' ' << host;
        std::cout << '\n';
    }
    for (const std::string& name : arguments.clients) {
        STENTOR_TRY(const auto client, maker.for_client(name, kClientLife));
        files.write_pair(name, client);
        std::cout << "  " << name << ".crt, " << name << ".key  for the client \"" << name
                  << "\"\n";
    }
    return {};
}

/// A host of the server's certificate, as a URL has it.
std::string host_of_url(const InitArguments& arguments) {
    const auto host = std::find_if(arguments.hosts.begin(),
                                   arguments.hosts.end(),
                                   [](const std::string& each) { return !each.starts_with('*'); });
    if (host == arguments.hosts.end()) return arguments.hosts.empty() ? "localhost" : "HOST";
    return host->find(':') == std::string::npos ? *host : '[' + *host + ']';
}

/// Names a file is made of.
bool is_file_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name != "ca" && name != "server" &&
           name.find_first_of("/\n") == std::string::npos;
}

int first_broker(const InitArguments& arguments, Writer& files) {
    const std::string password = random_password();
    const auto hash = auth::PasswordHash::make(password);
    if (!hash) return complain(hash.error());
    files.write("stentor.toml", kConfiguration, Writer::kPublic);
    files.write("users.txt", auth::with_user({}, "admin", *hash), Writer::kSecret);
    if (files.failure()) return complain(*files.failure());
    std::cout << "  stentor.toml            the configuration\n"
              << "  users.txt               one user:\n\n"
              << "      user      admin\n      password  " << password
              << "      (shown this once)\n\n"
              << "Start it there:  cd " << arguments.directory
              << " && stentor serve -c stentor.toml\n"
              << "Clients trust ca.crt:  stentor sub --url mqtts://" << host_of_url(arguments)
              << ":8883 --cafile " << arguments.directory << "/ca.crt -u admin -P ... -t '#'\n"
              << "Services here publish by HTTP:  curl --cacert " << arguments.directory
              << "/ca.crt https://127.0.0.1:8443/v1/publish/TOPIC -d ...\n";
    return kExitOk;
}

}  // namespace

int run_init(const InitArguments& arguments) {
    for (const std::string& name : arguments.clients) {
        if (is_file_name(name)) continue;
        std::cerr << "stentor init: \"" << name << "\" cannot be a client's name here\n";
        return kExitUsage;
    }
    std::error_code error;
    fs::create_directories(arguments.directory, error);
    if (error) return complain("cannot make " + arguments.directory + ": " + error.message());
    Writer files{arguments.directory};
    const bool only_clients = files.exists("stentor.toml") && !arguments.clients.empty();
    if (files.exists("stentor.toml") && !only_clients) {
        return complain("there is a stentor.toml in " + arguments.directory + " already",
                        "give another directory, or --client NAME for one more certificate");
    }
    for (const std::string& name : arguments.clients) {
        std::string certificate = name + ".crt";
        const std::string key = name + ".key";
        if (files.exists(certificate) || files.exists(key)) {
            return complain(certificate.append(" or ").append(key).append(" is there already"),
                            "move it away, or choose another name");
        }
    }
    std::cout << "made in " << arguments.directory << ":\n";
    if (const auto made = make_certificates(arguments, files); !made) return complain(made.error());
    if (files.failure()) return complain(*files.failure());
    return only_clients ? kExitOk : first_broker(arguments, files);
}

}  // namespace stentor::app
