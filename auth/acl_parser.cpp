// The syntax of ACL files: one rule a line, as Mosquitto reads them.
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
        } else if (keyword.text == "topic") {
            parse_rule(keyword, rest, *rules_, false);
        } else if (keyword.text == "pattern") {
            parse_rule(keyword, rest, acl_.patterns_, true);
        } else {
            fail(keyword,
                 "unknown word " + quoted(keyword.text),
                 "a line begins with user, topic, pattern or #");
        }
    }

    void parse_user(Word keyword, Word name) {
        if (name.text.empty()) {
            fail(keyword, "the user's name is missing", "user NAME");
            return;
        }
        // References into the map stay valid while it grows.
        rules_ = &acl_.users_[std::string{name.text}];
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
    Acl::Rules* rules_ = &acl_.anonymous_;
    std::uint32_t line_ = 0;
    std::vector<FileError> errors_;
};

Result<Acl, std::vector<FileError>> Acl::parse(std::string_view text, SubscribePolicy policy) {
    return AclParser{policy}.parse(text);
}

}  // namespace stentor::auth
