#include "auth/password_file.hpp"

#include "auth/scram.hpp"
#include "auth/user_name.hpp"
#include "base/base64.hpp"
#include "base/random.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

namespace stentor::auth {
namespace {

constexpr std::string_view kDecoyKey = "# scram-decoy-key: ";
constexpr std::size_t kDecoyKeyBytes = 32;
constexpr std::ptrdiff_t kDecoysMax = 4;

/// Cuts the first line, with its end, from the front.
std::string_view take_line(std::string_view& text) noexcept {
    const auto end = text.find('\n');
    const std::string_view line =
        text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(line.size());
    return line;
}

std::string_view without_end(std::string_view line) noexcept {
    const auto last = line.find_last_not_of(" \t\r\n");
    return last == std::string_view::npos ? std::string_view{} : line.substr(0, last + 1);
}

bool is_line_of(std::string_view line, std::string_view name) noexcept {
    return !line.starts_with('#') && line.substr(0, line.find(':')) == name &&
           line.find(':') != std::string_view::npos;
}

}  // namespace

const char* user_name_error(std::string_view name) noexcept {
    if (name.empty()) return "a user name must not be empty";
    if (name.size() > kUserNameBytesMax) return "a user name has at most 1024 bytes";
    if (name.front() == '#') return "a user name must not begin with '#'";
    if (name.find(':') != std::string_view::npos) return "a user name must not contain ':'";
    if (name.front() == ' ' || name.back() == ' ') return "a user name must not end in a blank";
    const bool control = std::any_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20U || c == 0x7F;
    });
    return control ? "a user name must not contain control characters" : nullptr;
}

Result<PasswordFile, std::vector<FileError>> PasswordFile::parse(std::string_view text) {
    PasswordFile file;
    std::vector<FileError> errors;
    for (std::uint32_t number = 1; !text.empty(); ++number) {
        file.parse_line(without_end(take_line(text)), number, errors);
    }
    if (!errors.empty()) return errors;
    file.prepare_decoys();
    if (file.scram_decoy_key_.empty()) {
        file.scram_decoy_key_.resize(kDecoyKeyBytes);
        random_bytes(file.scram_decoy_key_);
    }
    return file;
}

void PasswordFile::prepare_decoys() {
    std::map<std::pair<std::uint32_t, std::size_t>, std::size_t> scram;  // how many have the same
    for (const auto& [name, hash] : users_) {
        if (hash.kind() == HashKind::scram_sha256) {
            ++scram[{hash.iterations(), hash.salt().size()}];
        }
        const bool is_new =
            std::none_of(decoys_.begin(), decoys_.end(), [&hash = hash](const auto& decoy) {
                return decoy.costs_like(hash);
            });
        if (is_new) decoys_.push_back(hash.decoy());
    }
    // Each guess costs all of them: of a file with many sorts the cheap ones are left out.
    std::sort(decoys_.begin(), decoys_.end(), [](const auto& a, const auto& b) {
        return a.cost() > b.cost();
    });
    if (decoys_.size() > kDecoysMax) decoys_.erase(decoys_.begin() + kDecoysMax, decoys_.end());
    const auto usual =
        std::max_element(scram.begin(), scram.end(), [](const auto& a, const auto& b) {
            return a.second < b.second;
        });
    if (usual == scram.end()) return;
    scram_iterations_ = usual->first.first;
    scram_salt_bytes_ = usual->first.second;
}

void PasswordFile::parse_line(std::string_view line,
                              std::uint32_t number,
                              std::vector<FileError>& errors) {
    if (line.starts_with(kDecoyKey)) {
        auto key = from_base64(line.substr(kDecoyKey.size()));
        if (key && key->size() == kDecoyKeyBytes) scram_decoy_key_ = *std::move(key);
    }
    if (line.empty() || line.front() == '#') return;
    const auto colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    const auto fail = [&](std::size_t at, std::size_t length, std::string what, std::string hint) {
        errors.push_back(FileError{.line = number,
                                   .column = static_cast<std::uint32_t>(at + 1),
                                   .length = static_cast<std::uint32_t>(length),
                                   .what = std::move(what),
                                   .hint = std::move(hint)});
    };
    if (colon == line.size()) {
        fail(0, line.size(), "a line is user:hash", "`stentor user add FILE NAME` writes one");
        return;
    }
    if (const char* error = user_name_error(name)) {
        fail(0, name.size(), error, "");
        return;
    }
    auto hash = PasswordHash::parse(line.substr(colon + 1));
    if (!hash) {
        // The rest of the line may be a password in clear: it is not repeated.
        fail(colon + 1, 1, hash.error(), "`stentor user passwd FILE NAME` writes a new one");
        return;
    }
    if (!users_.emplace(std::string{name}, *std::move(hash)).second) {
        fail(0, name.size(), "the user is listed twice", "remove one of the lines");
        return;
    }
    names_.emplace_back(name);
}

bool PasswordFile::verify(std::string_view user, std::string_view password) const {
    const auto found = users_.find(user);
    if (found != users_.end() && found->second.verify(password)) return true;
    for (const PasswordHash& decoy : decoys_) {
        const bool is_done = found != users_.end() && decoy.costs_like(found->second);
        if (!is_done) static_cast<void>(decoy.verify(password));
    }
    return false;
}

std::uint64_t PasswordFile::voucher(std::string_view user) const {
    constexpr std::uint64_t kNotNobody = std::uint64_t{1} << 63U;
    const auto found = users_.find(user);
    if (found == users_.end()) return 0;
    return std::hash<std::string>{}(found->second.encoded()) | kNotNobody;
}

ScramUser PasswordFile::scram_user(std::string_view user) const {
    const auto found = users_.find(user);
    // Made up for everybody, so that everybody takes as long.
    const Bytes invented = hmac_sha256(scram_decoy_key_, user);
    if (found == users_.end() || found->second.kind() != HashKind::scram_sha256) {
        Bytes salt;  // of any length; the same each time
        for (Bytes more = invented; salt.size() < scram_salt_bytes_;) {
            more = hmac_sha256(scram_decoy_key_, as_text(more));
            salt.insert(salt.end(), more.begin(), more.end());
        }
        salt.resize(scram_salt_bytes_);
        return {.known = false,
                .iterations = scram_iterations_,
                .salt = std::move(salt),
                .stored_key = invented,
                .server_key = invented};
    }
    const PasswordHash& hash = found->second;
    return {.known = true,
            .iterations = hash.iterations(),
            .salt = hash.salt(),
            .stored_key = hash.stored_key(),
            .server_key = hash.server_key()};
}

std::string with_decoy_key(std::string_view text) {
    if (text.starts_with(kDecoyKey) ||
        text.find('\n' + std::string{kDecoyKey}) != std::string_view::npos) {
        return std::string{text};
    }
    Bytes key(kDecoyKeyBytes);
    random_bytes(key);
    std::string out{text};
    if (!out.empty() && out.back() != '\n') out += '\n';
    return out.append(kDecoyKey).append(base64(key)).append(1, '\n');
}

std::string with_user(std::string_view text, std::string_view name, const PasswordHash& hash) {
    const std::string entry = std::string{name} + ':' + hash.encoded() + '\n';
    std::string out;
    bool replaced = false;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (is_line_of(line, name)) {
            if (!replaced) out += entry;
            replaced = true;
        } else {
            out += line;
        }
    }
    if (replaced) return out;
    if (!out.empty() && out.back() != '\n') out += '\n';
    return out + entry;
}

std::optional<std::string> without_user(std::string_view text, std::string_view name) {
    std::string out;
    bool found = false;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (is_line_of(line, name)) {
            found = true;
        } else {
            out += line;
        }
    }
    if (!found) return std::nullopt;
    return out;
}

}  // namespace stentor::auth
