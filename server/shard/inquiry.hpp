#pragma once
// What administrators ask a shard about clients, subscriptions and retained values, and what it
// finds. Values; from Mailbox::push() on a question is the shard's, on whose thread the sink is
// told.
//
// A list comes in pages. One page costs the shard a bounded slice of its turn however many sessions
// there are (kInquiry... below), wakes no session that rests, and may come without any item when
// none of those it has looked at fits: it always advances. A session that is there from the first
// page to the last is listed once.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "server/core/retained_store.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stentor::server {

// What one question makes a shard look at, at most.
inline constexpr std::size_t kInquirySlotsMax = 1024;
inline constexpr std::size_t kInquirySubscriptionsMax = 4096;
inline constexpr std::size_t kInquiryValuesMax = 256;
/// Texts that it copies; one more is always taken.
inline constexpr std::size_t kInquiryBytesMax = std::size_t{256} * 1024;

/// How a connection ended.
struct LastEnd {
    static constexpr std::uint8_t kLost = 0xFE;     // no DISCONNECT: the network, or the client
    static constexpr std::uint8_t kUnknown = 0xFF;  // before the broker's start, or there was none
    std::uint8_t code = kUnknown;                   // otherwise a reason code
};

/// Where a list goes on. The default one begins.
struct ListPlace {
    std::uint32_t listing = 0;  // Shard's own: slots are counted anew in its next life
    std::uint32_t slot = 0;
    std::string next_text = {};  // of the session there: subscriptions before it have been listed
    bool done = false;
};

struct ClientsQuestion {
    ListPlace from = {};
    std::size_t items_max = 100;
    std::optional<bool> connected = {};
    std::string prefix = {};               // of the client identifier
    std::optional<std::string> user = {};  // exactly; empty: without a name
};
struct ClientSummary {
    std::string client_id;
    std::string user = {};
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    bool connected = false;
    bool durable = false;
    std::string address = {};    // while connected
    std::uint16_t listener = 0;  // while connected
    Instant since = {};          // connected or not
    std::size_t subscriptions = 0;
};

/// One client, and which of its subscriptions decide what it gets while it is away.
struct ClientQuestion {
    std::string client_id;
};
struct ClientDetails {
    ClientSummary summary;
    std::uint32_t expiry_seconds = 0;
    std::size_t subscriptions_shared = 0;
    std::size_t subscriptions_kept_for = 0;  // granted QoS 1 or 2
    std::size_t inflight_to_client = 0;
    std::size_t inflight_from_client = 0;
    std::uint64_t log_positions_behind = 0;  // of a durable session: at least what waits for it
    LastEnd last_end = {};
    Instant expires_at = kNever;  // while away
    struct Connected {
        std::uint16_t port = 0;
        std::string certificate_name = {};
        std::uint16_t keep_alive_seconds = 0;
        bool clean_start = false;
        std::uint16_t receive_maximum = 0;
        std::uint32_t packet_bytes_max = 0;
        std::size_t queued = 0;  // of a transient session
        std::size_t unsent_bytes = 0;
        bool live = false;  // a durable one: level with the log
    };
    std::optional<Connected> connected = {};
    struct Will {
        std::string topic;
        mqtt::QoS qos = mqtt::QoS::at_most_once;
        bool retain = false;
        std::size_t payload_bytes = 0;
        std::uint32_t delay_seconds = 0;
    };
    std::optional<Will> will = {};
};

struct SubscriptionsQuestion {
    ListPlace from = {};
    std::size_t items_max = 100;
    std::optional<std::string> client_id = {};  // of this one only
    std::string filter = {};                    // exactly, as the client wrote it; empty: any
    std::string topic = {};                     // those whose filter matches it; empty: any
};
struct ListedSubscription {
    std::string client_id;
    std::string filter;  // with $share/...
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;
    bool connected = false;
};

struct RetainedQuestion {
    std::string filter;
    RetainedCursor cursor = {};
    std::size_t values_max = 100;
};
/// Whether a topic has a value.
struct RetainedValueQuestion {
    std::string topic;
};

using Question = std::variant<ClientsQuestion,
                              ClientQuestion,
                              SubscriptionsQuestion,
                              RetainedQuestion,
                              RetainedValueQuestion>;

/// A page of a list.
template <class Item>
struct ListPage {
    std::vector<Item> items = {};
    ListPlace next = {};
    std::size_t looked_at = 0;  // slots and subscriptions
    bool is_stale = false;      // the place was of an earlier life: begin anew
    bool is_found = true;       // the one client that was asked about
};
using ClientsPage = ListPage<ClientSummary>;
using SubscriptionsPage = ListPage<ListedSubscription>;
struct ClientFound {
    std::optional<ClientDetails> details;
};
struct RetainedFound {
    std::vector<RetainedValue> values = {};
    std::vector<bool> wanted = {};  // of each: somebody on some shard subscribes
    RetainedCursor cursor = {};
};
struct RetainedValueFound {
    bool exists = false;
};
/// What became of a Kick.
struct Kicked {
    bool has_session = false;
    bool was_connected = false;
};

using Finding = std::
    variant<ClientsPage, ClientFound, SubscriptionsPage, RetainedFound, RetainedValueFound, Kicked>;

class InquirySink {
  public:
    /// Once for each question, `cookie` is the Asker's. Nothing: nobody knows any more, because the
    /// shard has ended. On the shard's thread, or on the one that destroys the question; must not
    /// block.
    virtual void found(std::uint64_t cookie, std::optional<Finding> finding) noexcept = 0;

  protected:
    ~InquirySink() = default;
};

/// Who waits for the finding. Tells it once; with nothing, if it is destroyed before.
class Asker {
  public:
    /// Nobody.
    Asker() noexcept = default;
    /// `sink` outlives it.
    Asker(InquirySink& sink, std::uint64_t cookie) noexcept : sink_{&sink}, cookie_{cookie} {}
    Asker(Asker&& other) noexcept
        : sink_{std::exchange(other.sink_, nullptr)}, cookie_{other.cookie_} {}
    Asker& operator=(Asker&& other) noexcept {
        if (this != &other) {
            tell_nothing();
            sink_ = std::exchange(other.sink_, nullptr);
            cookie_ = other.cookie_;
        }
        return *this;
    }
    Asker(const Asker&) = delete;
    Asker& operator=(const Asker&) = delete;
    ~Asker() { tell_nothing(); }

    void tell(Finding finding) noexcept {
        if (sink_ == nullptr) return;
        std::exchange(sink_, nullptr)->found(cookie_, std::move(finding));
    }

  private:
    void tell_nothing() noexcept {
        if (sink_ != nullptr) std::exchange(sink_, nullptr)->found(cookie_, std::nullopt);
    }

    InquirySink* sink_ = nullptr;
    std::uint64_t cookie_ = 0;
};

}  // namespace stentor::server
