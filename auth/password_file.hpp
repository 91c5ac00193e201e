#pragma once
// The password file: one `user:hash` a line, empty lines and lines that begin with # are skipped.
// Immutable after parse(); a reload makes a new one. The edit functions work on the text, so that
// comments and order survive them. Pure; any thread.

#include "auth/file_error.hpp"
#include "auth/password_hash.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::auth {

/// What SCRAM needs of a user.
struct ScramUser {
    bool known = false;  // false: invented, no password fits
    std::uint32_t iterations = 0;
    Bytes salt = {};
    Bytes stored_key = {};
    Bytes server_key = {};
};

class PasswordFile {
  public:
    PasswordFile() = default;

    /// Understands a file, or names all its mistakes. The text is not needed afterwards.
    [[nodiscard]] static Result<PasswordFile, std::vector<FileError>> parse(std::string_view text);

    /// Slow, see PasswordHash. Whoever is wrong takes as long as one hash of each sort that the
    /// file has, whether the user exists or not and whatever its own sort is: time does not tell.
    [[nodiscard]] bool verify(std::string_view user, std::string_view password) const;

    /// What a wrong password costs, whoever's it is.
    [[nodiscard]] std::size_t hashes_per_guess() const noexcept { return decoys_.size(); }

    /// A number for the user's line as it is; 0 if there is none. Fast.
    [[nodiscard]] std::uint64_t voucher(std::string_view user) const;

    /// Whether anybody can come by SCRAM-SHA-256.
    [[nodiscard]] bool has_scram() const noexcept { return scram_iterations_ != 0; }
    /// For a user without SCRAM keys a salt is made up from the name and the file's decoy key, so
    /// that it is the same each time and nobody learns who exists. Fast. Needs has_scram().
    [[nodiscard]] ScramUser scram_user(std::string_view user) const;

    [[nodiscard]] std::size_t user_count() const noexcept { return users_.size(); }
    /// In the order of the file.
    [[nodiscard]] const std::vector<std::string>& user_names() const noexcept { return names_; }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    void prepare_decoys();
    void parse_line(std::string_view line, std::uint32_t number, std::vector<FileError>& errors);

    std::unordered_map<std::string, PasswordHash, Hash, std::equal_to<>> users_;
    std::vector<std::string> names_;
    std::vector<PasswordHash> decoys_;    // one of each sort, none while there are no users
    std::uint32_t scram_iterations_ = 0;  // as most such users have; 0: there are none
    std::size_t scram_salt_bytes_ = 0;    // as those have
    Bytes scram_decoy_key_;
};

/// Why a name cannot stand in the file, for people; null if it can.
[[nodiscard]] const char* user_name_error(std::string_view name) noexcept;

/// The text with the user's line replaced, or appended if there is none.
[[nodiscard]] std::string with_user(std::string_view text,
                                    std::string_view name,
                                    const PasswordHash& hash);

/// The text with a line that holds a new decoy key (a comment to everybody else), if it has none:
/// without it unknown users' salts differ from one start of the broker to the next.
[[nodiscard]] std::string with_decoy_key(std::string_view text);

/// The text without the user's line; nothing if there is no such user.
[[nodiscard]] std::optional<std::string> without_user(std::string_view text, std::string_view name);

}  // namespace stentor::auth
