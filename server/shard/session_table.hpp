#pragma once
// The sessions at home on one shard, attached and detached, by client identifier and by slot. Those
// that nobody is connected to rest in a compact form and are woken when somebody asks for them.
// One thread: the shard's. References live until the entry is erased or laid to rest.

#include "server/shard/resting_blocks.hpp"
#include "server/shard/resting_session.hpp"
#include "server/shard/session_entry.hpp"

#include <boost/functional/hash.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

class SessionTable {
  public:
    SessionTable() : by_client_{0, Hash{*this}, Equal{*this}} {}
    SessionTable(const SessionTable&) = delete;
    SessionTable& operator=(const SessionTable&) = delete;
    ~SessionTable();

    /// Wakes it.
    [[nodiscard]] SessionEntry* find(std::string_view client_id);
    /// Wakes nobody.
    [[nodiscard]] std::optional<std::uint32_t> slot_of(std::string_view client_id) const {
        const auto at = by_client_.find(client_id);
        return at == by_client_.end() ? std::nullopt : std::optional{*at};
    }
    /// Null for one that rests, too: nobody can be attached to it.
    [[nodiscard]] SessionEntry* at(std::uint32_t slot) noexcept {
        return slot < awake_.size() ? awake_[slot].get() : nullptr;
    }
    /// The entry if that attachment is still there.
    [[nodiscard]] SessionEntry* attached(std::uint32_t slot, std::uint32_t generation) noexcept {
        SessionEntry* entry = at(slot);
        return entry != nullptr && entry->attached != nullptr && entry->generation == generation
                   ? entry
                   : nullptr;
    }
    /// The entry if it is still the same session, attached or not. Wakes it.
    [[nodiscard]] SessionEntry* same(std::uint32_t slot, std::uint32_t generation);

    /// Null if there is none, or it is awake. Valid until it is woken.
    [[nodiscard]] const RestingSession* resting(std::uint32_t slot) const noexcept {
        return slot < resting_.size() && resting_[slot] ? &resting_[slot] : nullptr;
    }
    /// One that rests.
    SessionEntry& wake(std::uint32_t slot);
    /// One that can: see RestingSession. The entry is gone afterwards.
    void rest(SessionEntry& entry);

    SessionEntry& create(std::string client_id);
    void erase(SessionEntry& entry);
    [[nodiscard]] std::size_t size() const noexcept { return by_client_.size(); }
    /// Of these, how many do not rest.
    [[nodiscard]] std::size_t awake() const noexcept { return awake_count_; }
    [[nodiscard]] std::size_t slots() const noexcept { return awake_.size(); }
    /// How many rest.
    [[nodiscard]] std::size_t at_rest() const noexcept { return at_rest_; }

  private:
    // The index holds slots: the identifiers are in the sessions.
    struct Hash {
        using is_transparent = void;
        explicit Hash(const SessionTable& the_table) noexcept : table{&the_table} {}
        std::size_t operator()(std::string_view client_id) const noexcept {
            return boost::hash<std::string_view>{}(client_id);
        }
        std::size_t operator()(std::uint32_t slot) const noexcept {
            return (*this)(table->client_id(slot));
        }
        const SessionTable* table;
    };
    struct Equal {
        using is_transparent = void;
        explicit Equal(const SessionTable& the_table) noexcept : table{&the_table} {}
        bool operator()(std::uint32_t a, std::uint32_t b) const noexcept { return a == b; }
        bool operator()(std::string_view a, std::uint32_t b) const noexcept {
            return a == table->client_id(b);
        }
        bool operator()(std::uint32_t a, std::string_view b) const noexcept {
            return table->client_id(a) == b;
        }
        const SessionTable* table;
    };
    [[nodiscard]] std::string_view client_id(std::uint32_t slot) const noexcept {
        return resting_[slot] ? resting_[slot].client_id()
                              : std::string_view{awake_[slot]->client_id};
    }

    // By slot; at most one of the two.
    std::vector<std::unique_ptr<SessionEntry>> awake_;
    std::size_t awake_count_ = 0;
    std::vector<RestingSession> resting_;
    RestingBlocks blocks_;
    std::vector<std::uint32_t> generations_;  // the last one of each slot, so that none comes twice
    std::vector<std::uint32_t> free_;
    std::size_t at_rest_ = 0;
    boost::unordered_flat_set<std::uint32_t, Hash, Equal> by_client_;
};

}  // namespace stentor::server
