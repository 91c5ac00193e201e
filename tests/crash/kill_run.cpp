#include "tests/crash/kill_run.hpp"

#include "base/random.hpp"
#include "tests/crash/tcp_wires.hpp"
#include "tests/kit/broker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/trace.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::crash {

using mqtt::ProtocolVersion;
using sim::Client;
using sim::Persona;

namespace {

constexpr std::size_t kTraceLines = 600'000;
constexpr std::size_t kClients = 12;
constexpr std::size_t kRoundsPerJudgement = 5;
constexpr Duration kPatience = std::chrono::seconds{60};
// What busy cores may put between an event and its being noticed.
constexpr Duration kClockSlack = std::chrono::seconds{2};

const std::vector<std::string> kTopics{"a", "a/b", "a/c", "b/a", "b/b/c", "b/d", "c"};
// Retained values that change only while the broker is judged, so that it is known which of them a
// SUBSCRIBE finds: replays of them are under way when the broker dies.
constexpr std::size_t kShelves = 60;
const std::vector<std::string> kFilters{"r/#",
                                        "r/+",
                                        "a",
                                        "a/b",
                                        "a/c",
                                        "b/a",
                                        "b/b/c",
                                        "b/d",
                                        "#",
                                        "a/#",
                                        "+/b",
                                        "+",
                                        "b/+/c",
                                        "+/+",
                                        "b/#"};

Duration milliseconds(std::uint64_t count) { return std::chrono::milliseconds{count}; }

/// Somebody who wants everything and is always there when the broker is.
Persona observer() {
    Persona persona;
    persona.name = "observer";
    persona.first_filters = {"will/#", "#"};
    persona.away_ms_max = 50;
    return persona;
}

/// Somebody who keeps retained values, and does nothing else.
Persona librarian() {
    Persona persona;
    persona.name = "librarian";
    persona.away_ms_max = 50;
    return persona;
}

Persona random_persona(Random& random, std::size_t number) {
    Persona persona;
    persona.name = "c" + std::to_string(number);
    persona.version = random.chance(1, 3) ? ProtocolVersion::v3_1_1 : ProtocolVersion::v5;
    persona.durable = random.chance(4, 5);
    if (random.chance(1, 5)) {
        persona.expiry_seconds = static_cast<std::uint32_t>(random.between(3, 15));
    }
    if (random.chance(1, 2)) {
        persona.receive_maximum = static_cast<std::uint16_t>(random.between(1, 20));
    }
    persona.topic_aliases = random.chance(1, 2) ? 3 : 0;
    persona.clean_per_mille = random.chance(1, 4) ? 100 : 0;
    persona.will_per_mille = random.chance(1, 2) ? 600 : 0;
    persona.drop_per_mille = random.chance(1, 2) ? 5 : 0;
    persona.withhold_per_mille = random.chance(1, 2) ? 10 : 0;
    persona.answers_out_of_order = random.chance(1, 5);
    if (random.chance(3, 4)) persona.publish_per_mille = 60;
    if (random.chance(1, 2)) persona.subscribe_per_mille = 15;
    persona.topics = kTopics;
    persona.filters = kFilters;
    persona.first_filters.push_back(kFilters[random.below(kFilters.size())]);
    if (random.chance(1, 3)) {
        persona.filters = {"r/#", "a/#", "+/b"};
        persona.subscribe_per_mille = 15;
    }
    persona.away_ms_max = random.chance(1, 4) ? 4000 : 200;
    return persona;
}

bool has_word(std::string_view line, std::string_view word) {
    for (std::size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1)) {
        const std::size_t end = at + word.size();
        if (at != 0 && line[at - 1] == ' ' && (end == line.size() || line[end] == ' ')) return true;
    }
    return false;
}

/// The lines of `trace` about what `complaint` names: the message, the life of the client, the
/// broker's ends, and the last ones of all.
std::string relevant(const std::string& trace, const std::string& complaint) {
    constexpr std::size_t kLastLines = 60;
    const std::string client = complaint.substr(0, complaint.find_first_of(" :"));
    std::string message;
    if (const auto at = complaint.find("message "); at != complaint.npos) {
        message =
            complaint.substr(at + 8, complaint.find_first_not_of("0123456789", at + 8) - at - 8);
    }
    std::vector<std::string_view> lines;
    for (std::string_view rest = trace; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        lines.push_back(rest.substr(0, end));
        rest.remove_prefix(end + 1);
    }
    std::string found;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string_view line = lines[i];
        const bool is_flow =
            line.find(" received ") != line.npos || line.find(" answers ") != line.npos ||
            line.find(" PUBLISH ") != line.npos || line.find(" message ") != line.npos;
        const bool shows = (!message.empty() && has_word(line, message)) ||
                           line.find("the broker") != line.npos ||
                           line.find("COMPLAINT") != line.npos ||
                           (has_word(line, client) && !is_flow) || i + kLastLines >= lines.size();
        if (shows) found.append(line).append("\n");
    }
    return found;
}

class KillRun {
  public:
    explicit KillRun(const KillOptions& options);
    [[nodiscard]] KillVerdict run();

  private:
    void add_client(Persona persona);
    void read_clock();
    void start();
    void live(Duration during);
    void turn(int milliseconds);
    void end_broker();
    void kill_while_starting();
    void broker_ended();
    void begin_backup();
    void finish_backup();
    void go_on_from_backup();
    void judge();
    void settle();
    void change_shelves();
    void judge_retained();
    [[nodiscard]] bool all_quiet() const;
    [[nodiscard]] bool failed() const { return oracle_.complaint().has_value(); }
    [[nodiscard]] kit::BrokerOptions broker_options();

    KillOptions options_;
    Random random_;
    Instant now_;
    sim::Trace trace_{kTraceLines};
    sim::Oracle oracle_;
    TcpWires wires_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<Instant> crashes_;
    std::optional<kit::Broker> broker_;
    std::optional<kit::Process> backup_;
    std::string last_words_;
    bool polite_ = false;
    std::size_t backups_ = 0;
    std::size_t restores_ = 0;
    std::map<std::string, bool> segments_;  // seen between two brokers; whether it is still there
};

KillRun::KillRun(const KillOptions& options)
    : options_{options},
      random_{options.seed},
      oracle_{trace_, {.late_messages = false, .clock_slack = kClockSlack}} {
    read_clock();
    add_client(observer());
    add_client(librarian());
    for (std::size_t i = 0; i < kClients; ++i) add_client(random_persona(random_, i));
}

void KillRun::add_client(Persona persona) {
    persona.clock_slack = kClockSlack;
    const std::size_t number = clients_.size();
    clients_.push_back(std::make_unique<Client>(
        std::move(persona),
        random_.split(),
        now_,
        oracle_,
        trace_,
        [this, number](const sim::WirePtr& wire) { wires_.open(number, wire, now_); }));
}

void KillRun::read_clock() {
    now_ = monotonic_now();
    oracle_.set_now(now_);
    trace_.set_now(now_);
}

kit::BrokerOptions KillRun::broker_options() {
    kit::BrokerOptions options;
    const auto chosen = static_cast<int>(random_.between(1, 3));
    options.shards = options_.shards == 0 ? chosen : options_.shards;
    options.data_directory = options_.directory;
    // Small files: sealing and collecting happen all the time.
    options.settings = {"store.segment_bytes=16KiB", "logging.level=warn"};
    options.settings.insert(
        options.settings.end(), options_.settings.begin(), options_.settings.end());
    return options;
}

void KillRun::start() {
    const kit::BrokerOptions options = broker_options();
    broker_.emplace(options);
    read_clock();
    trace_.add("the broker is there, with {} shards", options.shards);
    crashes_.push_back(now_);
    for (auto& client : clients_) client->broker_crashed();
    wires_.set_port(broker_->port());
}

void KillRun::turn(int milliseconds) {
    read_clock();
    wires_.pump(now_, milliseconds);
    read_clock();
    for (auto& client : clients_) {
        if (polite_ || random_.chance(1, 2)) client->turn();
    }
}

void KillRun::live(Duration during) {
    const Instant until = saturating_add(now_, during);
    while (now_ < until && !failed()) turn(3);
}

void KillRun::broker_ended() {
    read_clock();
    wires_.broker_died(now_);
    last_words_ = broker_->process().output(kit::Stream::err);
    oracle_.crashed(false);
    broker_.reset();
    for (auto& [name, exists] : segments_) exists = false;
    for (const auto& file : std::filesystem::directory_iterator{options_.directory + "/log"}) {
        if (file.path().extension() == ".db") segments_[file.path().filename()] = true;
    }
}

void KillRun::end_broker() {
    if (!random_.chance(1, 8)) {
        trace_.add("the broker is killed");
        broker_->process().kill();
        (void)broker_->process().wait();
        broker_ended();
        return;
    }
    trace_.add("the broker is told to stop");
    broker_->process().terminate();
    const Instant latest = saturating_add(now_, kPatience);
    while (broker_->process().running() && now_ < latest) turn(3);
    const kit::ExitStatus status = broker_->process().wait();
    if (status != kit::ExitStatus{.code = 0}) {
        oracle_.complain("the broker does not stop in good order");
    }
    broker_ended();
}

/// In the middle of recovery, say.
void KillRun::kill_while_starting() {
    trace_.add("the broker is killed while it starts");
    kit::Process process{kit::broker_command(broker_options())};
    const Instant until = saturating_add(now_, milliseconds(random_.below(60)));
    while (now_ < until) turn(1);
    process.kill();
    (void)process.wait();
}

/// Of a broker that works and will be killed meanwhile, perhaps.
void KillRun::begin_backup() {
    trace_.add("a backup begins");
    backup_.emplace(std::vector<std::string>{kit::broker_command()[0],
                                             "store",
                                             "backup",
                                             options_.directory,
                                             options_.directory + ".copy"});
}

void KillRun::finish_backup() {
    if (!backup_) return;
    const kit::ExitStatus status = backup_->wait();
    const std::string copy = options_.directory + ".copy";
    if (status != kit::ExitStatus{.code = 0}) {
        oracle_.complain("the backup fails: " + backup_->output(kit::Stream::err));
    } else {
        const kit::Finished check = kit::run({kit::broker_command()[0], "store", "check", copy});
        if (check.status != kit::ExitStatus{.code = 0}) {
            oracle_.complain("the backup is damaged: " + check.out + check.err);
        }
        ++backups_;
    }
    backup_.reset();
    std::filesystem::remove_all(copy);
}

/// Nothing is owed and nobody does anything: a backup of the running broker has all that counts.
void KillRun::go_on_from_backup() {
    finish_backup();
    begin_backup();
    while (backup_->running() && !failed()) turn(1);
    if (backup_->wait() != kit::ExitStatus{.code = 0}) {
        oracle_.complain("the backup fails: " + backup_->output(kit::Stream::err));
        return;
    }
    backup_.reset();
    trace_.add("the broker is killed and goes on from the backup");
    broker_->process().kill();
    (void)broker_->process().wait();
    broker_ended();
    std::filesystem::remove_all(options_.directory);
    std::filesystem::rename(options_.directory + ".copy", options_.directory);
    ++restores_;
}

bool KillRun::all_quiet() const {
    return std::all_of(
        clients_.begin(), clients_.end(), [](const auto& client) { return client->quiet(); });
}

/// Everybody is polite, until nothing is owed any more.
void KillRun::settle() {
    const Instant latest = saturating_add(now_, kPatience);
    std::optional<std::string> missing;
    for (unsigned turns = 0; now_ < latest && !failed(); ++turns) {
        turn(2);
        if (turns % 16 != 0 || !all_quiet()) continue;
        for (auto& client : clients_) client->judge_wills({crashes_, false});
        missing = oracle_.unmet();
        if (!missing) return;
    }
    if (failed()) return;
    for (const auto& client : clients_) trace_.add("{}", client->describe());
    oracle_.complain(missing.value_or("it does not come to rest"));
}

/// A new client gets exactly what is retained.
void KillRun::judge_retained() {
    Persona persona;
    persona.name = "checker";
    persona.durable = false;
    persona.first_filters = {"#"};
    add_client(persona);
    Client& checker = *clients_.back();
    checker.be_polite();
    const Instant latest = saturating_add(now_, kPatience);
    std::optional<std::string> missing = "nothing yet";
    while (missing && now_ < latest && !failed()) {
        turn(2);
        if (all_quiet()) missing = oracle_.unmet_retained(checker.retained());
    }
    if (missing) oracle_.complain(*missing);
    checker.leave();
    turn(2);
    clients_.pop_back();
}

void KillRun::change_shelves() {
    Client& librarian = *clients_[1];
    for (std::size_t i = 0; i < kShelves; ++i) {
        if (!random_.chance(1, 2)) continue;
        const auto qos = static_cast<mqtt::QoS>(random_.between(1, 2));
        librarian.publish("r/" + std::to_string(i), qos, true, random_.chance(1, 10));
    }
}

void KillRun::judge() {
    trace_.add("everybody is polite for a while, and the broker is judged");
    polite_ = true;
    for (auto& client : clients_) client->be_polite();
    settle();
    if (!failed()) oracle_.judge_end();
    if (!failed()) oracle_.settle();
    if (!failed()) judge_retained();
    if (!failed()) change_shelves();
    if (!failed()) settle();
    if (!failed() && random_.chance(1, 2)) go_on_from_backup();
    polite_ = false;
    for (auto& client : clients_) client->be_rude();
}

KillVerdict KillRun::run() {
    for (std::size_t round = 1; round <= options_.rounds && !failed(); ++round) {
        if (random_.chance(1, 10)) kill_while_starting();
        start();
        constexpr std::array<std::uint64_t, 3> kMilliseconds{40, 400, 1500};
        if (random_.chance(1, 4)) begin_backup();
        live(milliseconds(random_.below(kMilliseconds[random_.below(3)])));
        const bool outlives_broker = random_.chance(1, 2);
        if (!outlives_broker) finish_backup();
        if (!failed() && (round % kRoundsPerJudgement == 0 || round == options_.rounds)) judge();
        if (!failed() && broker_) end_broker();
        finish_backup();
    }
    KillVerdict verdict{.complaint = oracle_.complaint(),
                        .history = {},
                        .published = oracle_.taken_messages(),
                        .deliveries = oracle_.deliveries(),
                        .obligations = oracle_.obligations(),
                        .segments = segments_.size(),
                        .removed = 0,
                        .backups = backups_,
                        .restores = restores_};
    for (const auto& [name, exists] : segments_) verdict.removed += exists ? 0 : 1;
    if (verdict.complaint) {
        verdict.history = relevant(trace_.text(), *verdict.complaint);
        if (broker_) last_words_ = broker_->process().output(kit::Stream::err);
        verdict.history += "the last broker said: " + last_words_;
    }
    return verdict;
}

}  // namespace

KillVerdict kill_again_and_again(const KillOptions& options) { return KillRun{options}.run(); }

}  // namespace stentor::crash
