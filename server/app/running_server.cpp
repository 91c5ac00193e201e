// The running broker: one engine, one thread with shard and epoll loop per core, the listeners.
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "persistence/memory/memory_engine.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "protocol/message.hpp"
#include "server/app/gate.hpp"
#include "server/app/server.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/placement.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard.hpp"
#include "server/transport/epoll_driver.hpp"
#include "server/transport/listener.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <sys/eventfd.h>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::app {

namespace {

using server::EpollDriver;
using server::Listener;
using server::Mailbox;
using server::Shard;

constexpr std::size_t kMailboxMessages = 4096;

/// Hands a commit group to every shard before any ticket of it is answered (rule 2).
class CommitFanout final : public store::CommitSink {
  public:
    explicit CommitFanout(const std::vector<std::unique_ptr<Mailbox>>& mailboxes)
        : mailboxes_{&mailboxes} {}

    void group_committed(store::CommitGroupPtr group) override {
        for (const auto& mailbox : *mailboxes_) {
            mailbox->push_reserved(server::GroupCommitted{group});
        }
    }
    void ticket_done(ShardId shard, store::CommitTicket ticket, Result<void> result) override {
        (*mailboxes_)[shard.value()]->push_reserved(server::TicketDone{ticket, result});
    }
    void page_read(ShardId shard, store::Page page) override {
        (*mailboxes_)[shard.value()]->push_reserved(server::PageRead{std::move(page)});
    }

  private:
    const std::vector<std::unique_ptr<Mailbox>>* mailboxes_;
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
    to.retained.messages_max = (from.retained_messages_max + shards - 1) / shards;
    to.shared_waiting_messages_max = from.session_backlog_messages_max;
    return to;
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

std::unique_ptr<store::StorageEngine> make_engine(const config::Options& options,
                                                  std::uint16_t shards) {
    if (options.node.keeps_nothing()) {
        store::MemoryEngineOptions to;
        to.log.shards = shards;
        to.log.bytes_max = options.store.bytes_max;
        return std::make_unique<store::MemoryEngine>(to);
    }
    store::SqliteEngineOptions to;
    to.directory = options.node.data_dir;
    to.shards = shards;
    to.acknowledge_after = acknowledge_after(options.store.acknowledge_after);
    to.log_bytes_max = options.store.bytes_max;
    to.disk_free_bytes_min = options.store.disk_free_bytes_min;
    to.segment_bytes_max = options.store.segment_bytes_max;
    return std::make_unique<store::SqliteEngine>(to);
}

class RunningServer final : public Server {
  public:
    RunningServer(const config::Options& options, const Access& access);
    ~RunningServer() override;

    [[nodiscard]] Result<void, Problem> open(const config::Options& options);

    [[nodiscard]] const std::vector<std::string>& listening_urls() const override { return urls_; }
    [[nodiscard]] int stopped_descriptor() const override { return stopped_.get(); }
    void request_stop(StopMode mode) override;
    void reload(const config::Options& options, Access access) override;
    [[nodiscard]] Result<void, Problem> run() override;

  private:
    /// Everything of one thread.
    struct Worker {
        std::unique_ptr<EpollDriver> driver;
        std::unique_ptr<Shard> shard;
    };
    [[nodiscard]] Result<void, Problem> open_listeners(const config::Options& options);
    [[nodiscard]] Result<void, Problem> open_store(const config::Options& options);
    void start_threads();

    Gate gate_;
    server::InterestTable interest_;
    server::Placement placement_;
    std::unique_ptr<store::StorageEngine> engine_;
    std::vector<std::unique_ptr<Mailbox>> mailboxes_;
    std::vector<Mailbox*> mailbox_pointers_;
    CommitFanout fanout_;
    std::vector<Listener> listeners_;
    std::vector<std::string> urls_;
    std::vector<Worker> workers_;
    server::Descriptor stopped_;
    std::atomic<std::size_t> running_{0};
    std::vector<std::thread> threads_;
    bool engine_started_ = false;
};

RunningServer::RunningServer(const config::Options& options, const Access& access)
    : gate_{access.chain, access.acl},
      placement_{shard_count(options), random_hash_key()},
      engine_{make_engine(options, placement_.shards())},
      fanout_{mailboxes_},
      stopped_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {}

RunningServer::~RunningServer() {
    STENTOR_ASSERT(threads_.empty(), "run() has returned, or open() has failed");
    workers_.clear();
    if (engine_started_) engine_->drain_and_close();
}

Result<void, Problem> RunningServer::open(const config::Options& options) {
    STENTOR_TRY_VOID(open_listeners(options));
    STENTOR_TRY_VOID(open_store(options));
    start_threads();
    return {};
}

Result<void, Problem> RunningServer::open_store(const config::Options& options) {
    auto recovered = engine_->recover();
    if (!recovered) {
        return Problem{"cannot open the store in " + options.node.data_dir + ": " +
                           recovered.error().message(),
                       {}};
    }
    // The store's clock goes on where it stopped; 0 is "no time".
    const Instant base = std::max(recovered->at, Instant{} + std::chrono::seconds{1});
    const Instant started = monotonic_now();
    const auto now = [base, started] { return base + (monotonic_now() - started); };
    const std::uint16_t shards = placement_.shards();
    for (std::uint16_t i = 0; i < shards; ++i) {
        Worker& worker = workers_.emplace_back();
        worker.driver = std::make_unique<EpollDriver>(server::EpollOptions{}, now);
        EpollDriver* driver = worker.driver.get();
        mailboxes_.push_back(
            std::make_unique<Mailbox>(kMailboxMessages, [driver] { driver->wake(); }));
        mailbox_pointers_.push_back(mailboxes_.back().get());
    }
    gate_.set_mailboxes(mailbox_pointers_);
    const server::ShardShared shared{.interest = &interest_,
                                     .placement = &placement_,
                                     .engine = engine_.get(),
                                     .access = &gate_,
                                     .mailboxes = mailbox_pointers_};
    server::ShardOptions shard_options = app::shard_options(options, shards);
    for (std::uint16_t i = 0; i < shards; ++i) {
        shard_options.seed = random_seed();
        workers_[i].shard =
            std::make_unique<Shard>(ShardId{i}, shard_options, shared, *workers_[i].driver);
        workers_[i].shard->recover(*recovered, now());
    }
    engine_->start(fanout_);
    engine_started_ = true;
    return {};
}

Result<void, Problem> RunningServer::open_listeners(const config::Options& options) {
    std::uint16_t index = 0;
    for (const config::ListenerOptions& wanted : options.listeners) {
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
    }
    return {};
}

void RunningServer::start_threads() {
    running_.store(workers_.size());
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        threads_.emplace_back([this, i] {
            const std::string name = "shard-" + std::to_string(i);
            (void)::pthread_setname_np(::pthread_self(), name.c_str());
            workers_[i].driver->run(*workers_[i].shard, *mailboxes_[i], listeners_);
            if (running_.fetch_sub(1) == 1) {
                const std::uint64_t one = 1;
                (void)!::write(stopped_.get(), &one, sizeof one);
            }
        });
    }
}

void RunningServer::request_stop(StopMode mode) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        workers_[i].driver->stop_accepting();
        mailboxes_[i]->push_reserved(server::Drain{});
        if (mode == StopMode::at_once) workers_[i].driver->request_stop();
    }
}

void RunningServer::reload(const config::Options& options, Access access) {
    (void)options;  // the limits of shards need a restart; main says so
    gate_.replace(std::move(access.chain), std::move(access.acl));
}

Result<void, Problem> RunningServer::run() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    engine_->drain_and_close();
    engine_started_ = false;
    listeners_.clear();
    return {};
}

}  // namespace

Result<std::unique_ptr<Server>, Problem> Server::start(const config::Options& options,
                                                       Access access) {
    mqtt::set_topic_hash_key(random_hash_key());
    auto server = std::make_unique<RunningServer>(options, access);
    STENTOR_TRY_VOID(server->open(options));
    return std::unique_ptr<Server>{std::move(server)};
}

}  // namespace stentor::app
