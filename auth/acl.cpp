#include "auth/acl.hpp"

#include "auth/filter_relation.hpp"
#include "protocol/topic/match.hpp"

#include <algorithm>
#include <utility>

namespace stentor::auth {
namespace {

bool is_sys(std::string_view topic) noexcept {
    return topic == "$SYS" || topic.starts_with("$SYS/");
}

bool has_wildcard(std::string_view name) noexcept {
    return name.find_first_of("+#") != std::string_view::npos;
}

/// The pattern with the names in place of %u and %c; both were checked for wildcards. False: a name
/// reaches out of its level, and what the pattern grants is not for its bearer.
bool substitute(std::string_view pattern, const Subject& subject, std::string& out) {
    out.clear();
    bool stays = true;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const std::string_view two = pattern.substr(i, 2);
        if (two == "%u" || two == "%c") {
            const std::string_view name = two == "%u" ? subject.user : subject.client_id;
            stays = stays && stays_in_its_level(name, out);
            out += name;
            ++i;
        } else {
            out += pattern[i];
        }
    }
    return stays;
}

}  // namespace

struct Acl::Question {
    std::string_view text;  // a topic, or a filter
    Access access;
    bool is_filter;

    [[nodiscard]] bool forbidden_by(std::string_view filter) const noexcept {
        return is_filter ? overlap(filter, text) : mqtt::matches(filter, text);
    }
    [[nodiscard]] bool granted_by(std::string_view filter) const noexcept {
        return is_filter ? covers(filter, text) : mqtt::matches(filter, text);
    }
};

class Acl::Walk {
  public:
    /// Whether what rules allow counts. What they deny always does.
    enum class Allows : std::uint8_t { count, ignored };

    Walk(const Subject& subject, const Question& question) noexcept
        : subject_{subject},
          question_{question},
          allows_{subject.grants == nullptr ? Allows::count : Allows::ignored} {}

    /// The first way to be allowed, before any rule.
    void ask_grants() {
        if (subject_.grants == nullptr) return;
        const std::vector<Grant>& all = subject_.grants->all();
        decider_.allowed = std::any_of(all.begin(), all.end(), [this](const Grant& grant) {
            const bool is_meant = question_.access == Access::read ? grant.read : grant.write;
            return is_meant && question_.granted_by(grant.filter);
        });
    }

    // All return false when a deny has decided: there is nothing more to ask.

    [[nodiscard]] bool ask_topics(const Rules& rules) {
        return std::all_of(rules.begin(), rules.end(), [this](const Rule& rule) {
            return ask(rule, rule.filter);
        });
    }

    [[nodiscard]] bool ask_patterns(const Rules& rules) {
        if (rules.empty()) return true;
        const bool is_wild = has_wildcard(subject_.user) || has_wildcard(subject_.client_id);
        return std::all_of(rules.begin(), rules.end(), [this, is_wild](const Rule& rule) {
            return is_wild ? ask_for_wild_name(rule) : ask_pattern(rule);
        });
    }

    [[nodiscard]] bool ask_role(const Role& role, Allows allows) {
        role_ = role.name;
        const auto before = std::exchange(allows_, allows);
        const bool goes_on = ask_topics(role.topics) && ask_patterns(role.patterns);
        allows_ = before;
        role_ = {};
        return goes_on;
    }

    /// For the roles that a user has by the file.
    [[nodiscard]] Allows allows() const noexcept { return allows_; }
    [[nodiscard]] const Decider& decider() const noexcept { return decider_; }

  private:
    [[nodiscard]] bool ask(const Rule& rule, std::string_view filter) {
        if (rule.denies()) return !question_.forbidden_by(filter) || deny(rule);
        if (decider_.allowed || allows_ == Allows::ignored) return true;
        if (rule.grants(question_.access) && question_.granted_by(filter)) {
            decider_ = {.allowed = true, .line = rule.line, .role = role_};
        }
        return true;
    }

    [[nodiscard]] bool ask_pattern(const Rule& rule) {
        if (rule.has_user && subject_.user.empty()) return true;
        if (!rule.has_user && !rule.has_client) return ask(rule, rule.filter);
        const bool stays = substitute(rule.filter, subject_, filter_);
        return (!stays && !rule.denies()) || ask(rule, filter_);
    }

    /// A name with a wildcard in it would widen every pattern; Mosquitto's answer is to let
    /// patterns give such a client nothing. Their denies are then taken as met.
    [[nodiscard]] bool ask_for_wild_name(const Rule& rule) { return !rule.denies() || deny(rule); }

    [[nodiscard]] bool deny(const Rule& rule) {
        decider_ = {.allowed = false, .line = rule.line, .role = role_};
        return false;
    }

    const Subject& subject_;
    const Question& question_;
    Allows allows_;
    std::string_view role_;  // whose rules are being asked; empty: no role's
    std::string filter_;     // of a pattern, with the names in it
    Decider decider_;
};

/// What stands in the file for its name.
bool Acl::ask_own(const Subject& subject, Walk& walk) const {
    if (subject.user.empty()) return walk.ask_topics(anonymous_);
    const auto found = users_.find(subject.user);
    if (found == users_.end()) return true;
    const User& user = found->second;
    return walk.ask_topics(user.topics) &&
           std::all_of(user.roles.begin(), user.roles.end(), [&](RolePlace place) {
               return walk.ask_role(roles_[place], walk.allows());
           });
}

/// Of the roles that its credentials name; the file may know nothing of some.
bool Acl::ask_named_roles(const Subject& subject, Walk& walk) const {
    if (subject.roles == nullptr || roles_.empty()) return true;
    return subject.roles->all_of([&](std::string_view name) {
        const auto found = role_places_.find(name);
        return found == role_places_.end() ||
               walk.ask_role(roles_[found->second], Walk::Allows::count);
    });
}

Decider Acl::decide(const Subject& subject, const Question& question) const {
    Walk walk{subject, question};
    walk.ask_grants();
    const bool may_be_allowed =
        subject.grants == nullptr || walk.decider().allowed || subject.roles != nullptr;
    if (may_be_allowed && ask_own(subject, walk) && ask_named_roles(subject, walk)) {
        (void)walk.ask_patterns(patterns_);
    }
    return walk.decider();
}

Decider Acl::publish(const Subject& subject, std::string_view topic) const {
    if (is_sys(topic)) return {};
    if (is_free(subject)) return {.allowed = true};
    return decide(subject, {.text = topic, .access = Access::write, .is_filter = false});
}

Decider Acl::subscribe(const Subject& subject, std::string_view filter) const {
    if (is_sys(filter)) {
        // No wildcard filter reaches $SYS, so this decides for every message below it.
        if (subject.is_admin) return {.allowed = true};
        return decide(subject, {.text = filter, .access = Access::read, .is_filter = true});
    }
    if (is_free(subject) || policy_ == SubscribePolicy::filter) return {.allowed = true};
    return decide(subject, {.text = filter, .access = Access::read, .is_filter = true});
}

Decider Acl::deliver(const Subject& subject, std::string_view topic) const {
    if (is_sys(topic) ? subject.is_admin : is_free(subject)) return {.allowed = true};
    return decide(subject, {.text = topic, .access = Access::read, .is_filter = false});
}

std::size_t Acl::rule_count() const noexcept {
    std::size_t count = anonymous_.size() + patterns_.size();
    for (const auto& [name, user] : users_) count += user.topics.size();
    for (const Role& role : roles_) count += role.topics.size() + role.patterns.size();
    return count;
}

}  // namespace stentor::auth
