#include "persistence/sqlite/inspect/dump.hpp"

#include "persistence/record_codec.hpp"
#include "protocol/topic/match.hpp"

#include <algorithm>
#include <variant>

namespace stentor::store {
namespace {

class Describer {
  public:
    Describer(const DumpFilter& filter, Fields& out) : filter_{filter}, out_{out} {}

    /// Whether the record is wanted; adds what it says.
    bool operator()(const MessageRecord& r) {
        const mqtt::Message& message = *r.message;
        const bool is_clients = message.publisher() == filter_.client ||
                                r.fires_will_of == filter_.client ||
                                (r.inbound && r.inbound->client == filter_.client);
        if (!filter_.client.empty() && !is_clients) return false;
        if (!filter_.topic.empty() && !mqtt::matches(filter_.topic, message.topic())) return false;
        out_.add("type", "message")
            .add("topic", message.topic())
            .add("qos", static_cast<int>(message.qos()))
            .add("retain", message.retain())
            .add("publisher", message.publisher())
            .add("payload_bytes", message.payload().size())
            .add("for_sessions", r.for_durable_sessions);
        if (r.sets_retained) out_.add("sets_retained", true);
        if (r.inbound) {
            out_.add("inbound_client", r.inbound->client)
                .add("inbound_id", r.inbound->packet_id.value());
        }
        if (!r.fires_will_of.empty()) out_.add("will_of", r.fires_will_of);
        if (const auto expiry = message.message_expiry_seconds()) {
            out_.add("expiry_seconds", *expiry);
        }
        if (filter_.payload_bytes_max != 0) {
            out_.add("payload", excerpt(message.payload(), filter_.payload_bytes_max));
        }
        return true;
    }
    bool operator()(const InboundForgotten& r) {
        if (!about(r.client, "inbound_forgotten")) return false;
        out_.add("id", r.packet_id.value());
        return true;
    }
    bool operator()(const Attached& r) {
        if (!about(r.client, "attached")) return false;
        out_.add("version", static_cast<int>(r.version))
            .add("begins_anew", r.discards_earlier_state)
            .add("expiry_seconds", r.expiry_seconds)
            .add("user", r.user);
        if (r.will) {
            out_.add("will", r.will->message->topic())
                .add("will_delay_seconds", r.will->delay_seconds);
        }
        return true;
    }
    bool operator()(const Detached& r) {
        if (!about(r.client, "detached")) return false;
        out_.add("expiry_seconds", r.expiry_seconds).add("keeps_will", r.keeps_will);
        add_delivery(r.delivery);
        return true;
    }
    bool operator()(const SessionEnded& r) { return about(r.client, "session_ended"); }
    bool operator()(const Subscribed& r) {
        if (!about(r.client, "subscribed")) return false;
        std::vector<Fields> items;
        for (const SubscriptionRecord& subscription : r.subscriptions) {
            items.emplace_back()
                .add("filter", subscription.filter)
                .add("qos", static_cast<int>(subscription.options.qos))
                .add("identifier", subscription.subscription_identifier)
                .add("keeps_since", subscription.keeps_since);
        }
        out_.add("subscriptions", items);
        return true;
    }
    bool operator()(const Unsubscribed& r) {
        if (!about(r.client, "unsubscribed")) return false;
        std::vector<Fields> items;
        for (const std::string& filter : r.filters) items.emplace_back().add("filter", filter);
        out_.add("subscriptions", items);
        return true;
    }
    bool operator()(const DeliveryState& r) {
        if (!about(r.client, "delivery")) return false;
        add_delivery(r);
        return true;
    }
    bool operator()(const RetainedReplay& r) {
        if (!about(r.client, "retained_replay")) return false;
        out_.add("filter", r.filter).add("until", r.until.value()).add("next_topic", r.next_topic);
        add_delivery(r.delivery);
        return true;
    }
    bool operator()(const WillForgotten& r) { return about(r.client, "will_forgotten"); }
    bool operator()(const RetainedForgotten& r) {
        if (!filter_.client.empty()) return false;
        if (!filter_.topic.empty() && !mqtt::matches(filter_.topic, r.topic)) return false;
        out_.add("type", "retained_forgotten").add("topic", r.topic).add("value", r.seq.value());
        return true;
    }

  private:
    bool about(const ClientId& client, const char* type) {
        if (!filter_.topic.empty()) return false;
        if (!filter_.client.empty() && filter_.client != client) return false;
        out_.add("type", type).add("client", client);
        return true;
    }
    void add_delivery(const DeliveryState& state) {
        out_.add("sent_through", state.sent_through.value()).add("whole", state.whole);
        std::vector<Fields> done;
        for (const PacketId id : state.done) done.emplace_back().add("id", id.value());
        std::vector<Fields> changed;
        for (const Unfinished& item : state.changed) {
            changed.emplace_back()
                .add("seq", item.seq.value())
                .add("id", item.packet_id.value())
                .add("qos", static_cast<int>(item.qos))
                .add("received", item.phase == DeliveryPhase::received);
        }
        if (!done.empty()) out_.add("done", done);
        if (!changed.empty()) out_.add("unfinished", changed);
        if (!state.loss) return;
        out_.add("lost", state.loss->messages)
            .add("lost_reason", static_cast<int>(state.loss->reason));
    }

    const DumpFilter& filter_;
    Fields& out_;
};

class Dump {
  public:
    Dump(const DumpFilter& filter,
         const std::function<bool(const Fields&)>& print,
         const std::function<void(const std::string&)>& complain)
        : filter_{filter}, print_{print}, complain_{complain} {}

    void segment(Database& database, const LogFile& file) {
        const auto read =
            for_each_stored_row(database, filter_.from, [&](Seq first, ByteView body) {
                return row(file, first, body);
            });
        if (!read) skip(file, "cannot be read to its end");
    }
    void skip(const LogFile& file, const std::string& what) {
        ++skipped_;
        complain_(file.path + ' ' + what);
    }
    [[nodiscard]] std::size_t skipped() const noexcept { return skipped_; }
    [[nodiscard]] bool goes_on() const noexcept { return goes_on_; }

  private:
    bool row(const LogFile& file, Seq first, ByteView body) {
        const std::string place = "row " + std::to_string(first.value()) + ": ";
        const auto parsed = LogRow::parse(body);
        if (!parsed) {
            skip(file, place + parsed.error().message());
            return true;
        }
        const auto visited = parsed->for_each([&](Seq seq, ByteView stored) {
            if (seq < filter_.from || seq <= last_) return true;
            if (seq > filter_.to) return goes_on_ = false;
            last_ = seq;
            const auto record = parse_record(stored);
            if (!record) {
                skip(file, place + to_string(record.error()));
                return true;
            }
            Fields fields;
            fields.add("seq", seq.value());
            if (std::visit(Describer{filter_, fields}, *record)) goes_on_ = print_(fields);
            return goes_on_;
        });
        if (!visited) skip(file, place + "lengths do not fit");
        return goes_on_;
    }

    const DumpFilter& filter_;
    const std::function<bool(const Fields&)>& print_;
    const std::function<void(const std::string&)>& complain_;
    Seq last_;  // what two files have is printed once
    std::size_t skipped_ = 0;
    bool goes_on_ = true;
};

}  // namespace

Result<std::size_t, Trouble> dump_log(const std::string& directory,
                                      const DumpFilter& filter,
                                      const std::function<bool(const Fields&)>& print,
                                      const std::function<void(const std::string&)>& complain) {
    STENTOR_TRY(const StoreView view, StoreView::open(directory, WhileRunning::allowed));
    STENTOR_TRY(const std::vector<LogFile> files, view.log_files());
    Dump dump{filter, print, complain};
    for (std::size_t i = 0; i < files.size() && dump.goes_on(); ++i) {
        // What follows begins at or below the first wanted position: nothing of it is here.
        if (i + 1 < files.size() && files[i + 1].first <= filter.from) continue;
        auto database = view.segment(files[i]);
        if (!database) {
            dump.skip(files[i], database.error().what);
        } else if (*database) {
            dump.segment(**database, files[i]);
        }
    }
    return dump.skipped();
}

}  // namespace stentor::store
