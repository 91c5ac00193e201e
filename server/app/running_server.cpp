// The running broker: doors, loops and mailboxes, and the shards and engine behind them, which are
// replaced when the store has failed.
#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "persistence/memory/memory_engine.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "persistence/sqlite/store_files.hpp"
#include "persistence/store_error.hpp"
#include "protocol/message.hpp"
#include "server/app/certificate_watch.hpp"
#include "server/app/control_plane.hpp"
#include "server/app/doors.hpp"
#include "server/app/gate.hpp"
#include "server/app/reload_desk.hpp"
#include "server/app/running_clock.hpp"
#include "server/app/server.hpp"
#include "server/app/shard_group.hpp"
#include "server/app/store_problem.hpp"
#include "server/core/placement.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard.hpp"
#include "server/transport/address_gate.hpp"
#include "server/transport/epoll_driver.hpp"
#include "server/transport/listener.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::app {

namespace {

using server::EpollDriver;
using server::Listener;
using server::Mailbox;

constexpr std::size_t kMailboxMessages = 4096;
constexpr std::uint64_t kSharedWaitingBytesMax = 256U << 20U;  // docs/limits.md
constexpr std::uint64_t kWillBytesMax = 256U << 20U;           // likewise
constexpr Duration kReopenPauseMin = std::chrono::milliseconds{250};
constexpr Duration kReopenPauseMax = std::chrono::seconds{30};

/// Tells the supervisor and the control plane as well.
class WatchedFanout final : public server::CommitFanout {
  public:
    WatchedFanout(const std::vector<Mailbox*>& mailboxes,
                  std::function<void()> failed,
                  std::function<void(const store::CommitGroup&)> committed)
        : CommitFanout{mailboxes}, failed_{std::move(failed)}, committed_{std::move(committed)} {}

    void group_committed(store::CommitGroupPtr group) override {
        last_.store(group->last());
        CommitFanout::group_committed(group);
        committed_(*group);
    }
    void store_failed() override { failed_(); }

    void begin_after(Seq last) noexcept { last_.store(last); }
    /// The newest position that any shard has been told of.
    [[nodiscard]] Seq last() const noexcept { return last_.load(); }

  private:
    const std::function<void()> failed_;
    const std::function<void(const store::CommitGroup&)> committed_;
    std::atomic<Seq> last_{kNoSeq};
};

/// Nobody listens: the waiting room commits nothing.
class NoSink final : public store::CommitSink {
    void group_committed(store::CommitGroupPtr /*group*/) override {}
    void ticket_done(ShardId /*s*/, store::CommitTicket /*t*/, Result<void> /*r*/) override {}
    void page_read(ShardId /*shard*/, store::Page /*page*/) override {}
};

std::uint32_t whole_seconds(config::Milliseconds duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 0, 0xFFFF'FFFE));
}

server::ShardOptions shard_options(const config::Options& options, std::uint16_t shards) {
    const config::LimitOptions& from = options.limits;
    server::ShardOptions to;
    to.limits.packet_bytes_max = from.packet_bytes_max;
    to.limits.receive_maximum = from.receive_maximum;
    to.limits.inflight_maximum = from.inflight_maximum;
    to.limits.inflight_bytes_max = from.inflight_bytes_max;
    to.limits.topic_aliases_max = from.topic_aliases_max;
    to.limits.topic_levels_max = static_cast<std::uint16_t>(from.topic_levels_max);
    to.limits.subscriptions_per_session_max = from.subscriptions_per_session_max;
    to.limits.session_expiry_seconds_max = whole_seconds(from.session_expiry_max);
    to.limits.keep_alive_seconds_max =
        static_cast<std::uint16_t>(std::min(whole_seconds(from.keepalive_max), 65'535U));
    to.limits.transient_queue_messages_max = from.transient_queue_messages_max;
    to.limits.transient_queue_bytes_max = from.transient_queue_bytes_max;
    to.limits.outbox_bytes_max = from.outbox_bytes_max;
    to.connect_timeout = from.connect_timeout;
    to.messages_per_second_max = from.messages_per_second_max;
    to.retained.messages_max = (from.retained_messages_max + shards - 1) / shards;
    to.retained.bytes_max = from.retained_bytes_max / shards;
    to.sessions.sessions_max = (std::size_t{from.sessions_max} + shards - 1) / shards;
    to.sessions.bytes_max = from.sessions_bytes_max / shards;
    to.backlog = {.messages_max = from.session_backlog_messages_max,
                  .bytes_max = from.session_backlog_bytes_max};
    to.shared_waiting = to.backlog;
    to.shared_waiting_bytes_of_all_max = kSharedWaitingBytesMax / shards;
    to.will_bytes_max = kWillBytesMax / shards;
    return to;
}

auth::ThrottleOptions throttle_options(const config::AuthOptions& from) {
    return {.failures_per_address_max = from.failures_per_address_max,
            .failures_per_user_max = from.failures_per_user_max,
            .forgets_one_after = from.failure_forgotten_after};
}

server::AddressLimits address_limits(const config::LimitOptions& from) {
    return {.connections_max = from.connections_max,
            .connections_per_address_max = from.connections_per_address_max,
            .connects_per_second_per_address_max = from.connects_per_second_per_address_max};
}

std::uint16_t shard_count(const config::Options& options) {
    std::uint32_t shards = options.node.shards;
    if (shards == 0) shards = std::max(1U, std::thread::hardware_concurrency());
    return static_cast<std::uint16_t>(
        std::min<std::uint32_t>(shards, static_cast<std::uint32_t>(server::kShardsMax)));
}

store::AcknowledgeAfter acknowledge_after(config::AcknowledgeAfter wanted) {
    switch (wanted) {
        case config::AcknowledgeAfter::disk:
            return store::AcknowledgeAfter::disk;
        case config::AcknowledgeAfter::os:
            return store::AcknowledgeAfter::os;
        case config::AcknowledgeAfter::memory:
            break;
    }
    return store::AcknowledgeAfter::memory;
}

std::uint64_t memory_of_machine() {
    return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

server::WallTime wall_time() {
    return server::WallTime{std::chrono::milliseconds{wall_clock_unix_ms()}};
}

store::SqliteEngineOptions engine_options(const config::Options& options, std::uint16_t shards) {
    store::SqliteEngineOptions to;
    to.directory = options.node.data_dir;
    to.shards = shards;
    to.acknowledge_after = acknowledge_after(options.store.acknowledge_after);
    to.log_bytes_max = options.store.bytes_max;
    to.disk_free_bytes_min = options.store.disk_free_bytes_min;
    to.segment_bytes_max = options.store.segment_bytes_max;
    to.age_max = options.store.age_max;
    if (options.store.missing_segments == config::MissingSegments::accept) {
        to.missing_segments = store::SqliteEngineOptions::MissingSegments::accept;
    }
    return to;
}

/// What is known of a store before it is opened.
struct Before {
    bool exists = false;      // so it is not made
    std::optional<Seq> seen;  // of one that is opened again: how far it reached when it failed
};

std::unique_ptr<store::StorageEngine> make_engine(const config::Options& options,
                                                  std::uint16_t shards,
                                                  const Before& before) {
    if (options.node.keeps_nothing()) {
        store::MemoryEngineOptions to;
        to.log.shards = shards;
        to.log.bytes_max = std::min(options.store.bytes_max, memory_of_machine() / 2);
        return std::make_unique<store::MemoryEngine>(to);
    }
    store::SqliteEngineOptions to = engine_options(options, shards);
    to.must_exist = before.exists;
    to.reopens_after = before.seen;
    return std::make_unique<store::SqliteEngine>(to);
}

/// A store that has been begun, however small: its file has more than a name.
bool has_store(const config::Options& options) {
    if (options.node.keeps_nothing()) return false;
    std::error_code unknown;
    const auto bytes =
        std::filesystem::file_size(store::state_path(engine_options(options, 1)), unknown);
    return !unknown && bytes != 0;
}

class RunningServer final : public Server {
  public:
    RunningServer(const config::Options& options, Access access);
    ~RunningServer() override;

    [[nodiscard]] Result<void, Problem> open();

    [[nodiscard]] const std::vector<std::string>& listening_urls() const override { return urls_; }
    [[nodiscard]] int ready_descriptor() const override { return ready_.get(); }
    [[nodiscard]] int stopped_descriptor() const override { return stopped_.get(); }
    void request_stop(StopMode mode) override;
    [[nodiscard]] Result<std::vector<TlsRefusal>, TlsMistakes> reload(
        const config::Options& options, Access access) override;
    [[nodiscard]] ReloadDesk& reload_desk() override { return reload_desk_; }
    void set_bans(std::shared_ptr<const auth::BanList> bans) override;
    void look_after_files(const config::Options& options) override {
        certificates_.look(options.listeners, wall_time());
    }
    [[nodiscard]] Result<void, Problem> run() override;

  private:
    using Group = std::unique_ptr<ShardGroup>;
    struct OpenStore {
        std::unique_ptr<store::StorageEngine> engine;
        store::Recovered recovered;
    };

    [[nodiscard]] Result<void, Problem> open_listeners();
    void make_loops();
    [[nodiscard]] Surroundings surroundings();
    enum class Serves : std::uint8_t { everybody, nobody_yet };
    [[nodiscard]] Group make_group(OpenStore store, Serves whom);

    [[nodiscard]] bool serve(Group group, store::CommitSink& sink, admin::Readiness readiness);
    [[nodiscard]] bool serve_store(OpenStore store);
    [[nodiscard]] bool open_waiting_room(admin::Readiness why);
    void close_waiting_room();

    enum class Waits : std::uint8_t {
        for_disk,   // from the start on: it is full, or fails
        for_repair  // when a store that served has failed
    };
    void supervise(Waits waits);
    [[nodiscard]] std::optional<OpenStore> open_in_time(Waits waits);
    void tell_of_waiting(const boost::system::error_code& why, Duration pause) const;
    [[nodiscard]] static bool may_pass(Waits waits, const boost::system::error_code& error);
    [[nodiscard]] bool stops_within(Duration time);
    void store_failed();

    const config::Options options_;
    RunningClock clock_;
    Gate gate_;
    server::AddressGate addresses_;
    server::Placement placement_;
    server::SecondlyGate connects_;
    std::vector<std::unique_ptr<EpollDriver>> drivers_;  // one per shard, as mailboxes
    std::vector<std::unique_ptr<Mailbox>> mailboxes_;
    std::vector<Mailbox*> mailbox_pointers_;
    WatchedFanout fanout_;
    NoSink no_sink_;
    std::vector<Listener> listeners_;
    std::vector<server::Door> doors_;  // of the listeners; never resized while threads run
    std::vector<std::string> urls_;
    ReloadDesk reload_desk_;
    CertificateWatch certificates_{urls_, doors_};
    ControlPlane control_;
    Descriptor ready_;
    Descriptor stopped_;
    boost::system::error_code start_failure_;  // why the start waits; set before the supervisor
    std::optional<Problem> gave_up_;           // the supervisor's; read when it has ended

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    Group group_;  // what serves now; replaced by the supervisor alone
    bool stops_ = false;

    std::thread supervisor_;
};

RunningServer::RunningServer(const config::Options& options, Access access)
    : options_{options},
      gate_{std::move(access.chain), std::move(access.acl), throttle_options(options.auth)},
      addresses_{address_limits(options.limits),
                 random_hash_key(),
                 [this](std::string_view address) { return gate_.bans_address(address); }},
      placement_{shard_count(options), random_hash_key()},
      connects_{options.limits.connects_per_second_max},
      fanout_{mailbox_pointers_,
              [this] { store_failed(); },
              [this](const store::CommitGroup& group) { control_.committed(group); }},
      control_{{.options = &options_,
                .gate = &gate_,
                .addresses = &addresses_,
                .logins = access.logins,
                .placement = &placement_,
                .reloads = &reload_desk_,
                .now = [this] { return clock_.now(); }}},
      ready_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)},
      stopped_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {
    if (access.bans) gate_.set_bans(std::move(access.bans));
}

RunningServer::~RunningServer() {
    STENTOR_ASSERT(!supervisor_.joinable(), "run() has returned, or open() has failed");
    control_.finish();
}

Result<void, Problem> RunningServer::open() {
    STENTOR_TRY_VOID(open_listeners());
    // Before the store is recovered, which can take a while: whoever watches is told so.
    control_.open(listeners_, doors_, urls_);
    make_loops();
    const bool exists = has_store(options_);
    auto engine = make_engine(options_, placement_.shards(), {});
    auto recovered = engine->recover();
    if (!recovered) {
        start_failure_ = recovered.error();
        if (!exists || !store::is_of_the_disk(start_failure_)) {
            return store_problem(options_.node.data_dir, start_failure_);
        }
    }
    // A waiting room begins at no time, so that the store's, which follows, is no step back.
    clock_.begin_at(recovered ? recovered->at : Instant{});
    const Waits waits = recovered ? Waits::for_repair : Waits::for_disk;
    const bool serves = recovered ? serve_store({std::move(engine), *std::move(recovered)})
                                  : open_waiting_room(admin::Readiness::waiting_for_disk);
    STENTOR_ASSERT(serves, "nobody can have stopped it yet");
    supervisor_ = std::thread{[this, waits] { supervise(waits); }};
    return {};
}

void RunningServer::make_loops() {
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        drivers_.push_back(std::make_unique<EpollDriver>(
            server::EpollOptions{},
            [this] { return clock_.now(); },
            &addresses_,
            &control_.receiver()));
        EpollDriver* driver = drivers_.back().get();
        mailboxes_.push_back(
            std::make_unique<Mailbox>(kMailboxMessages, [driver] { driver->wake(); }));
        mailbox_pointers_.push_back(mailboxes_.back().get());
    }
    gate_.set_mailboxes(mailbox_pointers_);
    gate_.set_listeners(urls_);
    control_.watch(mailbox_pointers_);
}

Surroundings RunningServer::surroundings() {
    return {.placement = &placement_,
            .gate = &gate_,
            .drivers = drivers_,
            .mailboxes = mailbox_pointers_,
            .listeners = listeners_,
            .doors = doors_,
            .connects = &connects_,
            .snapshots = &control_.snapshots()};
}

RunningServer::Group RunningServer::make_group(OpenStore store, Serves whom) {
    clock_.advance_to(store.recovered.at);
    server::ShardOptions options = shard_options(options_, placement_.shards());
    options.takes_messages = whom == Serves::everybody;
    auto group = std::make_unique<ShardGroup>(
        surroundings(), std::move(options), std::move(store.engine), store.recovered, clock_.now());
    // The shards have what is theirs. A million sessions are half a gigabyte, which glibc would
    // keep.
    store.recovered = {};
    (void)::malloc_trim(0);
    return group;
}

Result<void, Problem> RunningServer::open_listeners() {
    std::uint16_t index = 0;
    for (const config::ListenerOptions& wanted : options_.listeners) {
        const bool is_unix = wanted.url.scheme == config::Scheme::unix_socket;
        auto opened = Listener::open({.host = wanted.url.host,
                                      .port = wanted.url.port,
                                      .path = is_unix ? wanted.url.path : std::string{}},
                                     index++);
        if (!opened) return Problem{to_string(wanted.url) + ": " + opened.error().what, {}};
        config::ListenUrl bound = wanted.url;
        if (!is_unix) bound.port = opened->port();
        urls_.push_back(to_string(bound));
        listeners_.push_back(std::move(*opened));
        STENTOR_TRY(server::Door door, make_door(wanted));
        doors_.push_back(std::move(door));
    }
    look_after_files(options_);
    return {};
}

/// Lets `group` serve, unless the server is to stop.
bool RunningServer::serve(Group group, store::CommitSink& sink, admin::Readiness readiness) {
    const std::lock_guard lock{mutex_};
    group_ = std::move(group);
    if (stops_) return false;
    for (const auto& driver : drivers_) driver->accept_again();
    control_.shards_begin();
    control_.set_readiness(readiness);  // before a failure can be told that follows at once
    group_->start(sink);
    return true;
}

bool RunningServer::serve_store(OpenStore store) {
    fanout_.begin_after(store.recovered.last);
    auto group = make_group(std::move(store), Serves::everybody);
    if (!serve(std::move(group), fanout_, admin::Readiness::ready)) return false;
    const std::uint64_t one = 1;
    (void)!::write(ready_.get(), &one, sizeof one);
    return true;
}

/// Whoever knocks is told to come back. False: the server is to stop.
bool RunningServer::open_waiting_room(admin::Readiness why) {
    gate_.set_door(Gate::Door::closed);
    store::MemoryEngineOptions nothing;
    nothing.log.shards = placement_.shards();
    auto memory = std::make_unique<store::MemoryEngine>(nothing);
    auto empty = memory->recover();
    STENTOR_ASSERT(empty.has_value(), "memory opens");
    auto group = make_group({std::move(memory), *std::move(empty)}, Serves::nobody_yet);
    return serve(std::move(group), no_sink_, why);
}

void RunningServer::close_waiting_room() {
    for (const auto& driver : drivers_) driver->stop_accepting();
    group_->drain({.reason = mqtt::ReasonCode::server_busy});
    group_->finish();
    gate_.set_door(Gate::Door::open);
}

/// From one life of the store to the next. At first a store serves, or the waiting room is open
/// already.
void RunningServer::supervise(Waits waits) {
    for (;; waits = Waits::for_repair) {
        if (waits == Waits::for_repair) {
            group_->finish();  // its threads end when the server is to stop or the store has failed
            if (stops_within(Duration{0})) break;
            if (!open_waiting_room(admin::Readiness::store_failed)) break;
        }
        std::optional<OpenStore> store = open_in_time(waits);
        // Only then: shards that recover write to each other's mailboxes.
        close_waiting_room();
        if (!store || !serve_store(*std::move(store))) break;
    }
    const std::uint64_t one = 1;
    (void)!::write(stopped_.get(), &one, sizeof one);
}

/// Tries, less and less often, until the store is open; nothing when the server is to stop, or when
/// trying again would not help.
std::optional<RunningServer::OpenStore> RunningServer::open_in_time(Waits waits) {
    Before before{.exists = true, .seen = std::nullopt};
    if (waits == Waits::for_repair) before.seen = fanout_.last();
    Duration pause = kReopenPauseMin;
    if (waits == Waits::for_disk) tell_of_waiting(start_failure_, pause);
    while (!stops_within(pause)) {
        auto engine = make_engine(options_, placement_.shards(), before);
        auto recovered = engine->recover();
        if (recovered) {
            STENTOR_LOG(info,
                        LogEvent(waits == Waits::for_disk ? "store_opened" : "store_reopened",
                                 {{"seq", recovered->last.value()},
                                  {"sessions", recovered->state.sessions().size()}}),
                        "{}",
                        waits == Waits::for_disk ? "the store is open" : "the store is open again");
            return OpenStore{std::move(engine), *std::move(recovered)};
        }
        if (!may_pass(waits, recovered.error())) {
            gave_up_ = store_problem(options_.node.data_dir, recovered.error());
            return std::nullopt;
        }
        pause = std::min(2 * pause, kReopenPauseMax);
        tell_of_waiting(recovered.error(), pause);
    }
    return std::nullopt;
}

/// At the start nothing is waited for but the disk and what the process lacks; between two tries
/// the store is nobody's, and an operator's tool may look at it.
bool RunningServer::may_pass(Waits waits, const boost::system::error_code& error) {
    if (waits == Waits::for_disk) {
        return store::is_of_the_disk(error) || store::is_passing(error) ||
               error == store::StoreErrc::in_use;
    }
    return error != store::StoreErrc::damaged && error != store::StoreErrc::newer_version;
}

void RunningServer::tell_of_waiting(const boost::system::error_code& why, Duration pause) const {
    const Problem problem = store_problem(options_.node.data_dir, why);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(pause).count();
    STENTOR_LOG(error,
                LogEvent("store_waits", {{"next_try_seconds", seconds}}),
                "{} ({}); clients are told to come back later",
                problem.what,
                problem.hint);
}

bool RunningServer::stops_within(Duration time) {
    std::unique_lock lock{mutex_};
    return wake_.wait_for(lock, time, [this] { return stops_; });
}

/// The engine's thread: nobody is told anything that is not in the log, so everybody has to go.
void RunningServer::store_failed() {
    STENTOR_LOG(error,
                LogEvent("store_failed", {{"directory", options_.node.data_dir}}),
                "the store has failed: all clients are disconnected, it is opened anew");
    control_.store_failed();
    for (const auto& driver : drivers_) driver->stop_accepting();
    for (Mailbox* mailbox : mailbox_pointers_) {
        mailbox->push_reserved(server::Drain{.reason = mqtt::ReasonCode::server_busy,
                                             .detail = "the store has failed",
                                             .abandons_log = true});
    }
}

void RunningServer::request_stop(StopMode mode) {
    {
        const std::lock_guard lock{mutex_};
        stops_ = true;
        control_.set_readiness(admin::Readiness::stopping);
        for (const auto& driver : drivers_) {
            driver->stop_accepting();
            if (mode == StopMode::at_once) driver->request_stop();
        }
        group_->drain({});
    }
    wake_.notify_all();
}

Result<std::vector<TlsRefusal>, TlsMistakes> RunningServer::reload(const config::Options& options,
                                                                   Access access) {
    // The limits of shards need a restart; main says so.
    auto kept = certificates_.reload(options.listeners, wall_time());
    if (!kept) return kept;
    gate_.set_throttle(throttle_options(options.auth));
    gate_.replace(std::move(access.chain), std::move(access.acl));
    set_bans(access.bans ? std::move(access.bans) : std::make_shared<const auth::BanList>());
    return kept;
}

void RunningServer::set_bans(std::shared_ptr<const auth::BanList> bans) {
    gate_.set_bans(std::move(bans));
    for (const auto& driver : drivers_) driver->wake();  // what was granted is looked at again
}

Result<void, Problem> RunningServer::run() {
    supervisor_.join();
    control_.finish();
    group_.reset();
    // What came over HTTP when there were no shards any more: nobody waits for it now.
    std::vector<server::ShardMessage> left;
    for (const auto& mailbox : mailboxes_) {
        mailbox->handled(mailbox->drain(left));
        mailbox->drain_ahead(left);
        left.clear();
    }
    listeners_.clear();
    if (gave_up_) return *std::move(gave_up_);
    return {};
}

}  // namespace

Result<std::unique_ptr<Server>, Problem> Server::start(const config::Options& options,
                                                       Access access) {
    mqtt::set_topic_hash_key(random_hash_key());
    auto server = std::make_unique<RunningServer>(options, std::move(access));
    STENTOR_TRY_VOID(server->open());
    return std::unique_ptr<Server>{std::move(server)};
}

}  // namespace stentor::app
