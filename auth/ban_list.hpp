#pragma once
// Whom an operator does not want to see: client identifiers, users, addresses; for ever or until a
// date.
// Immutable; a reload makes a new one. Pure; any thread.
//
//     # one ban a line
//     client sensor-17
//     user mallory until 2026-12-31
//     address 2001:db8::/32 until 2026-12-31T12:00:00Z

#include "auth/file_error.hpp"
#include "base/address.hpp"
#include "base/result.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::auth {

class BanList {
  public:
    /// Nobody.
    BanList() = default;

    /// Understands a file, or names all its mistakes. The text is not needed afterwards.
    [[nodiscard]] static Result<BanList, std::vector<FileError>> parse(std::string_view text);

    // `now_ms` is the wall clock's, since 1970.
    [[nodiscard]] bool bans_client(std::string_view client_id, std::int64_t now_ms) const;
    [[nodiscard]] bool bans_user(std::string_view user, std::int64_t now_ms) const;
    /// `address` is numeric; anything else is not banned. One look-up per prefix length in use.
    [[nodiscard]] bool bans_address(std::string_view address, std::int64_t now_ms) const;

    [[nodiscard]] std::size_t size() const noexcept {
        return clients_.size() + users_.size() + networks_.size();
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    // When it ends. The longer of two for the same is meant.
    using Until = std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>>;

    static void add(Until& to, std::string_view key, std::int64_t until);
    [[nodiscard]] static bool holds(const Until& bans, std::string_view key, std::int64_t now_ms);
    /// What is wrong with the line; nothing: it has been taken.
    void parse_line(std::string_view line, std::uint32_t number, std::vector<FileError>& errors);

    Until clients_;
    Until users_;
    Until networks_;                            // by prefix length and masked address
    std::array<std::uint32_t, 129> lengths_{};  // how many networks have that length
};

}  // namespace stentor::auth
