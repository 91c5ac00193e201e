// The syntax of ACL files: one rule a line, as Mosquitto reads them; and roles.
#include "auth/acl.hpp"
#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace stentor::auth {
namespace {

constexpr std::string_view kBlanks = " \t";

/// A stretch of a line that remembers where it stands.
struct Word {
    std::string_view text;
    std::uint32_t column = 1;
};

Word take_word(Word& rest) {
    const auto end = std::min(rest.text.find_first_of(kBlanks), rest.text.size());
    const Word word{rest.text.substr(0, end), rest.column};
    const auto next = std::min(rest.text.find_first_not_of(kBlanks, end), rest.text.size());
    rest.text.remove_prefix(next);
    rest.column += static_cast<std::uint32_t>(next);
    return word;
}

std::string quoted(std::string_view text) { return '"' + std::string{text} + '"'; }

}  // namespace

class AclParser {
  public:
    explicit AclParser(SubscribePolicy policy) {
        acl_.restricted_ = true;
        acl_.policy_ = policy;
    }

    Result<Acl, std::vector<FileError>> parse(std::string_view text) {
        while (!text.empty()) {
            ++line_;
            const auto end = std::min(text.find('\n'), text.size());
            parse_line(text.substr(0, end));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        if (!errors_.empty()) return std::move(errors_);
        return std::move(acl_);
    }

  private:
    void parse_line(std::string_view text) {
        const auto last = text.find_last_not_of(" \t\r");
        const auto first = text.find_first_not_of(kBlanks);
        if (last == std::string_view::npos || text[first] == '#') return;
        Word rest{text.substr(first, last + 1 - first), static_cast<std::uint32_t>(first + 1)};
        const Word keyword = take_word(rest);
        if (keyword.text == "user") {
            parse_user(keyword, rest);
        } else if (keyword.text == "role") {
            parse_role(keyword, rest);
        } else if (keyword.text == "member") {
            parse_member(keyword, rest);
        } else if (keyword.text == "topic") {
            parse_rule(keyword, rest, topics(), false);
        } else if (keyword.text == "pattern") {
            parse_rule(keyword, rest, patterns(), true);
        } else {
            fail(keyword,
                 "unknown word " + quoted(keyword.text),
                 "a line begins with user, role, member, topic, pattern or #");
        }
    }

    void parse_user(Word keyword, Word name) {
        if (name.text.empty()) {
            fail(keyword, "the user's name is missing", "user NAME");
            return;
        }
        // References into the map stay valid while it grows.
        user_topics_ = &acl_.users_[std::string{name.text}].topics;
        role_.reset();
    }

    void parse_role(Word keyword, Word name) {
        if (name.text.empty()) {
            fail(keyword, "the role's name is missing", "role NAME");
            return;
        }
        if (!is_role_name(name.text)) {
            fail(name,
                 "that is no name of a role",
                 "at most " + std::to_string(kRoleNameBytesMax) + " bytes, no tabs");
            return;
        }
        const auto known = acl_.role_places_.find(name.text);
        if (known != acl_.role_places_.end()) {
            role_ = known->second;
            return;
        }
        if (acl_.roles_.size() == Acl::kFileRolesMax) {
            fail(name, "more than " + std::to_string(Acl::kFileRolesMax) + " roles", "");
            return;
        }
        role_ = static_cast<Acl::RolePlace>(acl_.roles_.size());
        acl_.roles_.push_back({.name = std::string{name.text}, .topics = {}, .patterns = {}});
        acl_.role_places_.emplace(name.text, *role_);
    }

    void parse_member(Word keyword, Word name) {
        if (!role_) {
            fail(keyword, "of which role?", "member NAME stands behind role NAME");
            return;
        }
        if (name.text.empty()) {
            fail(keyword, "the user's name is missing", "member NAME");
            return;
        }
        std::vector<Acl::RolePlace>& roles = acl_.users_[std::string{name.text}].roles;
        if (std::find(roles.begin(), roles.end(), *role_) != roles.end()) return;
        if (roles.size() == kRolesMax) {
            fail(name,
                 quoted(name.text) + " has more than " + std::to_string(kRolesMax) + " roles",
                 "");
            return;
        }
        roles.push_back(*role_);
    }

    [[nodiscard]] Acl::Rules& topics() noexcept {
        return role_ ? acl_.roles_[*role_].topics : *user_topics_;
    }
    [[nodiscard]] Acl::Rules& patterns() noexcept {
        return role_ ? acl_.roles_[*role_].patterns : acl_.patterns_;
    }

    void parse_rule(Word keyword, Word rest, Acl::Rules& rules, bool is_pattern) {
        Acl::Rule rule{.read = true, .write = true, .line = line_, .filter = {}};
        // "topic a b" names the topic "a b" in neither broker: the first of several words is the
        // kind of access, the others are the topic.
        if (rest.text.find_first_of(kBlanks) != std::string_view::npos) {
            const Word access = take_word(rest);
            if (access.text != "read" && access.text != "write" && access.text != "readwrite" &&
                access.text != "deny") {
                fail(access,
                     "unknown access " + quoted(access.text),
                     "write read, write, readwrite or deny before the topic");
                return;
            }
            rule.read = access.text.starts_with("read");
            rule.write = access.text.ends_with("write");
        }
        if (rest.text.empty()) {
            fail(keyword, "the topic is missing", "for example: topic read sensors/#");
            return;
        }
        if (mqtt::check_topic_filter(rest.text) != mqtt::TopicCheck::ok) {
            fail(rest,
                 quoted(rest.text) + " is not a topic filter",
                 R"("+" and "#" stand alone between slashes, "#" only at the end)");
            return;
        }
        rule.filter = rest.text;
        if (is_pattern) {
            rule.has_user = rule.filter.find("%u") != std::string::npos;
            rule.has_client = rule.filter.find("%c") != std::string::npos;
        }
        rules.push_back(std::move(rule));
    }

    void fail(Word at, std::string what, std::string hint) {
        errors_.push_back(FileError{.line = line_,
                                    .column = at.column,
                                    .length = static_cast<std::uint32_t>(at.text.size()),
                                    .what = std::move(what),
                                    .hint = std::move(hint)});
    }

    Acl acl_;
    Acl::Rules* user_topics_ = &acl_.anonymous_;
    std::optional<Acl::RolePlace> role_;  // whose rules are being read; none: no role's
    std::uint32_t line_ = 0;
    std::vector<FileError> errors_;
};

Result<Acl, std::vector<FileError>> Acl::parse(std::string_view text, SubscribePolicy policy) {
    return AclParser{policy}.parse(text);
}

}  // namespace stentor::auth
