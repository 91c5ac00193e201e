#include "tests/sim/broker.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace stentor::sim {

using server::GroupCommitted;

/// Hands on what the engine reports, in its order, one mailbox after the other: a shard may look
/// into its mailbox before the next one has the same group. And the ways to get it wrong.
class Broker::Sink final : public store::CommitSink {
  public:
    Sink(std::span<server::Mailbox* const> mailboxes, Mutation mutation, const Store& store)
        : mailboxes_{mailboxes}, mutation_{mutation}, store_{&store}, held_(mailboxes.size()) {}

    void group_committed(store::CommitGroupPtr group) override {
        const bool splits =
            mutation_ == Mutation::ticket_before_group || mutation_ == Mutation::two_mailboxes;
        for (std::size_t i = 0; i < mailboxes_.size(); ++i) {
            const bool own = std::any_of(
                group->slices.begin(), group->slices.end(), [&](const store::CommitSlice& slice) {
                    return slice.shard.value() == i;
                });
            if (splits && !own) {
                held_[i].push_back(group);
                continue;
            }
            if (splits) release(i);
            push(i, server::group_committed(group));
        }
    }
    void ticket_done(ShardId shard, store::CommitTicket ticket, Result<void> result) override {
        push(shard.value(), server::TicketDone{ticket, result});
    }
    void page_read(ShardId shard, store::Page page) override {
        if (mutation_ == Mutation::page_claims_too_much) {
            page.complete_through = std::max(page.complete_through, store_->last());
        }
        push(shard.value(), server::PageRead{std::move(page)});
    }

    /// Puts so many of the messages that wait into their mailboxes.
    void hand_over(std::size_t messages_max) {
        for (; messages_max != 0 && !waiting_.empty(); --messages_max) {
            auto& [shard, message] = waiting_.front();
            mailboxes_[shard]->push_reserved(std::move(message));
            waiting_.pop_front();
        }
    }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

    /// What a mutation has held back for this shard.
    void release(std::size_t shard) {
        for (auto& group : held_[shard]) push(shard, server::group_committed(std::move(group)));
        held_[shard].clear();
    }

  private:
    void push(std::size_t shard, server::ShardMessage message) {
        waiting_.emplace_back(shard, std::move(message));
    }

    std::span<server::Mailbox* const> mailboxes_;
    Mutation mutation_;
    const Store* store_;
    std::deque<std::pair<std::size_t, server::ShardMessage>> waiting_;
    std::vector<std::vector<store::CommitGroupPtr>> held_;
};

/// The engine as the shards see it.
class Broker::Engine final : public store::StorageEngine {
  public:
    Engine(Store& engine, const BrokerOptions& options)
        : engine_{&engine},
          mutation_{options.mutation},
          log_positions_max_{options.log_positions_max} {}

    Result<store::Recovered> recover() override { return engine_->recover(); }
    void start(store::CommitSink& sink) override { engine_->start(sink); }
    store::Push submit(store::WriteBatch& batch) noexcept override {
        if (mutation_ != Mutation::looks_at_old_interest) return engine_->submit(batch);
        for (store::Record& record : batch.records) exchange_interest(record);
        const store::Push pushed = engine_->submit(batch);
        if (pushed == store::Push::full) {  // it comes again
            std::for_each(batch.records.rbegin(), batch.records.rend(), [this](auto& record) {
                exchange_interest(record);
            });
        }
        return pushed;
    }
    store::Push read(store::ReadRequest& request) noexcept override {
        return engine_->read(request);
    }
    void needed_from(ShardId shard, Seq seq) noexcept override {
        if (mutation_ == Mutation::trims_too_much) seq = Seq{seq.value() + 20};
        engine_->needed_from(shard, seq);
    }
    store::GiveWay give_way() const noexcept override {
        store::GiveWay result;
        const std::uint64_t last = engine_->last().value();
        if (log_positions_max_ != 0 && last > log_positions_max_) {
            result.everybody_below = Seq{last - log_positions_max_};
        }
        return result;
    }
    bool wants_survey(ShardId shard) const noexcept override {
        return engine_->wants_survey(shard);
    }
    void survey(ShardId shard, store::NeedSurvey survey) noexcept override {
        engine_->survey(shard, std::move(survey));
    }
    store::Room room() const noexcept override { return engine_->room(); }
    std::uint64_t log_messages() const noexcept override { return engine_->log_messages(); }
    void drain_and_close() override { engine_->drain_and_close(); }

  private:
    /// A message gets what was seen last for its topic, and leaves what it has seen itself.
    void exchange_interest(store::Record& record) {
        auto* message = std::get_if<store::MessageRecord>(&record);
        if (message == nullptr) return;
        std::uint64_t& last =
            seen_.try_emplace(std::string{message->message->topic()}, message->wanted_by)
                .first->second;
        std::swap(last, message->wanted_by);
    }

    Store* engine_;
    Mutation mutation_;
    std::uint64_t log_positions_max_;
    std::map<std::string, std::uint64_t> seen_;  // which shards want a topic
};

/// What shards have for each other, handed over when the sender's next turn begins: by then the
/// batch of this turn may be committed and told.
class Broker::LatePost {
  public:
    explicit LatePost(std::span<server::Mailbox* const> mailboxes)
        : mailboxes_{mailboxes}, senders_(mailboxes.size()) {
        for (std::size_t from = 0; from < senders_.size(); ++from) {
            Sender& sender = senders_[from];
            for (std::size_t to = 0; to < mailboxes.size(); ++to) {
                sender.boxes.push_back(std::make_unique<server::Mailbox>(SIZE_MAX, [] {}));
                sender.known.push_back(to == from ? mailboxes[to] : sender.boxes[to].get());
            }
        }
    }

    /// What this shard knows as everybody's mailboxes.
    [[nodiscard]] std::span<server::Mailbox* const> known_by(std::size_t shard) const {
        return senders_[shard].known;
    }

    void turn_begins(std::size_t shard) {
        Sender& sender = senders_[shard];
        for (auto& [to, message] : sender.waiting) {
            mailboxes_[to]->push_reserved(std::move(message));
        }
        sender.waiting.clear();
    }
    void turn_ends(std::size_t shard) {
        Sender& sender = senders_[shard];
        std::vector<server::ShardMessage> said;
        for (std::size_t to = 0; to < mailboxes_.size(); ++to) {
            sender.boxes[to]->handled(sender.boxes[to]->drain(said));
            for (auto& message : said) sender.waiting.emplace_back(to, std::move(message));
            sender.boxes[to]->drain_ahead(said);
            for (auto& message : said) sender.waiting.emplace_back(to, std::move(message));
        }
    }
    [[nodiscard]] bool idle() const {
        return std::ranges::all_of(senders_, [](const auto& each) { return each.waiting.empty(); });
    }

  private:
    struct Sender {
        std::vector<std::unique_ptr<server::Mailbox>> boxes;
        std::vector<server::Mailbox*> known;
        std::vector<std::pair<std::size_t, server::ShardMessage>> waiting;
    };

    std::span<server::Mailbox* const> mailboxes_;
    std::vector<Sender> senders_;
};

server::Admission admitted() {
    server::Admission admission;
    admission.accepted = true;
    return admission;
}

/// Everybody may do everything, some of them after a while.
class Broker::Access final : public server::AccessControl {
  public:
    Access(Random random, const BrokerOptions& options)
        : random_{random},
          slow_per_mille_{options.slow_admission_per_mille},
          test_method_{options.test_method} {}

    std::optional<server::Admission> admit(const mqtt::ConnectRequest& /*request*/,
                                           const server::PeerInfo& /*peer*/,
                                           ShardId shard,
                                           ConnectionId connection) override {
        if (!random_.chance(slow_per_mille_, 1000)) return admitted();
        return later(shard, connection, admitted());
    }
    std::unique_ptr<server::AuthExchange> begin_exchange(const mqtt::ConnectRequest& request,
                                                         const server::PeerInfo& peer) override;
    bool allows(server::TopicAction /*action*/,
                const server::Identity& /*identity*/,
                std::string_view /*client_id*/,
                std::string_view /*topic*/) const override {
        return true;
    }
    bool checks_deliveries(const server::Identity& /*identity*/) const noexcept override {
        return false;
    }

    void answer(std::span<server::Mailbox* const> mailboxes) {
        for (Thought& each : thinking_) {
            mailboxes[each.shard.value()]->push_reserved(
                server::Admitted{each.connection, std::move(each.verdict)});
        }
        thinking_.clear();
    }
    [[nodiscard]] bool idle() const noexcept { return thinking_.empty(); }
    void forget() { thinking_.clear(); }
    void be_quick() { slow_per_mille_ = 0; }

  private:
    struct Thought {
        ShardId shard;
        ConnectionId connection;
        server::Admission verdict;
    };
    class Quiz;

    std::optional<server::Admission> later(ShardId shard,
                                           ConnectionId connection,
                                           server::Admission verdict) {
        thinking_.push_back({shard, connection, std::move(verdict)});
        return std::nullopt;
    }

    Random random_;
    unsigned slow_per_mille_;
    TestMethod test_method_;
    std::vector<Thought> thinking_;
};

/// TestMethod's side of the conversation.
class Broker::Access::Quiz final : public server::AuthExchange {
  public:
    explicit Quiz(Access& access) : access_{&access} {}

    std::optional<server::Admission> next(ByteView data,
                                          ShardId shard,
                                          ConnectionId connection) override {
        const std::string_view said = as_text(data);
        server::Admission verdict;
        if (!asked_ || said == "more") {
            asked_ = true;
            verdict.goes_on = true;
            verdict.data = "question";
        } else if (said.starts_with("answer")) {
            verdict = admitted();
            verdict.data = "welcome";
            if (said == "answer-60s") verdict.valid_for = std::chrono::seconds{60};
            if (said == "answer-200s") verdict.valid_for = std::chrono::seconds{200};
        }
        if (access_->test_method_ == TestMethod::prompt) return verdict;
        return access_->later(shard, connection, std::move(verdict));
    }

  private:
    Access* access_;
    bool asked_ = false;
};

std::unique_ptr<server::AuthExchange> Broker::Access::begin_exchange(
    const mqtt::ConnectRequest& request, const server::PeerInfo& /*peer*/) {
    if (test_method_ == TestMethod::none || request.authentication_method != "TEST") {
        return nullptr;
    }
    return std::make_unique<Quiz>(*this);
}

namespace {

StoreOptions store_options(const BrokerOptions& options) {
    return {.seed = options.seed,
            .shards = options.shards,
            .acknowledge_after = options.mutation == Mutation::forgets_commits
                                     ? store::AcknowledgeAfter::os
                                     : options.acknowledge_after,
            .faults = options.faults,
            .slow_pages = options.slow_pages};
}

}  // namespace

Broker::Broker(const BrokerOptions& options, const Instant& now)
    : options_{options},
      now_{&now},
      random_{options.seed},
      store_{options.store(store_options(options))},
      faulty_engine_{std::make_unique<Engine>(*store_, options_)},
      access_{std::make_unique<Access>(random_.split(), options)},
      placement_{options.shards, HashKey{.k0 = options.seed, .k1 = 7}} {
    start();
}

Broker::~Broker() {
    if (!shards_.empty()) {
        shards_.clear();
        store_->crash();
    }
}

void Broker::start() {
    interest_ = std::make_unique<server::InterestTable>();
    mailboxes_.clear();
    mailbox_pointers_.clear();
    transports_.clear();
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        mailboxes_.push_back(std::make_unique<server::Mailbox>(
            options_.mailbox_messages_max, [] {}, options_.mailbox_bytes_max));
        mailbox_pointers_.push_back(mailboxes_.back().get());
        transports_.push_back(std::make_unique<WireTransport>(random_.split(), *now_));
        transports_.back()->set_gentle(gentle_);
    }
    sink_ = std::make_unique<Sink>(mailbox_pointers_, options_.mutation, *store_);
    if (options_.mutation == Mutation::posts_after_commits) {
        late_post_ = std::make_unique<LatePost>(mailbox_pointers_);
    }
    const auto recovered = store_->recover();
    STENTOR_ASSERT(recovered);
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        server::ShardOptions shard = options_.shard;
        shard.seed = random_.next();
        shards_.push_back(
            std::make_unique<server::Shard>(ShardId{i},
                                            shard,
                                            server::ShardShared{.interest = interest_.get(),
                                                                .placement = &placement_,
                                                                .engine = faulty_engine_.get(),
                                                                .access = access_.get(),
                                                                .mailboxes = known_by(i)},
                                            *transports_[i]));
        shards_.back()->recover(*recovered, *now_);
    }
    store_->start(*sink_);
}

std::span<server::Mailbox* const> Broker::known_by(std::size_t shard) const {
    if (late_post_) return late_post_->known_by(shard);
    return mailbox_pointers_;
}

void Broker::accept(std::size_t shard, const WirePtr& wire) {
    transports_[shard]->accept(*shards_[shard], wire);
}

void Broker::run_shard(std::size_t shard) {
    if (late_post_) late_post_->turn_begins(shard);
    transports_[shard]->run(*shards_[shard]);
    if (options_.mutation == Mutation::two_mailboxes) {
        // The other queue is looked at after this one.
        shards_[shard]->step(*now_);
        sink_->release(shard);
    }
    shards_[shard]->step(*now_);
    if (late_post_) late_post_->turn_ends(shard);
}

void Broker::run_engine() {
    store_->step(*now_);
    hand_over();
}

void Broker::hand_over() {
    const bool all = gentle_ || random_.chance(1, 2);
    sink_->hand_over(all ? sink_->waiting() : random_.below(sink_->waiting() + 1));
}

void Broker::run_others() {
    access_->answer(mailbox_pointers_);
    hand_over();
    if (options_.mutation != Mutation::ticket_before_group) return;
    for (std::size_t i = 0; i < shards_.size(); ++i) sink_->release(i);
}

void Broker::crash() {
    for (auto& transport : transports_) transport->crash();
    store_->crash();
    lost_before_ = lost_to_bounds();
    shards_.clear();
    mailboxes_.clear();
    access_->forget();
    start();
}

void Broker::be_gentle() {
    gentle_ = true;
    store_->be_gentle();
    access_->be_quick();
    for (auto& transport : transports_) transport->set_gentle(true);
}

std::uint64_t Broker::lost_to_bounds() const {
    std::uint64_t lost = lost_before_;
    for (const auto& shard : shards_) {
        using mqtt::DropReason;
        for (const auto why : {DropReason::backlog_full, DropReason::log_full}) {
            lost += shard->counters().messages_dropped[static_cast<std::size_t>(why)];
        }
    }
    return lost;
}

bool Broker::idle() const {
    if (!store_->idle() || sink_->waiting() != 0 || !access_->idle()) return false;
    if (late_post_ && !late_post_->idle()) return false;
    return std::none_of(shards_.begin(), shards_.end(), [](const auto& shard) {
        return shard->has_work() || shard->questions_open() != 0;
    });
}

bool Broker::drain() {
    for (server::Mailbox* mailbox : mailbox_pointers_) mailbox->push_reserved(server::Drain{});
    for (int round = 0; round < 1000; ++round) {
        for (std::size_t i = 0; i < shards_.size(); ++i) run_shard(i);
        run_engine();
        run_others();
        const bool done = std::all_of(
            shards_.begin(), shards_.end(), [](const auto& shard) { return shard->drained(); });
        if (done) break;
        store_->step(saturating_add(*now_, std::chrono::seconds{round}));
    }
    const bool drained = std::all_of(
        shards_.begin(), shards_.end(), [](const auto& shard) { return shard->drained(); });
    if (!drained) return false;
    store_->drain_and_close();
    shards_.clear();
    return true;
}

}  // namespace stentor::sim
