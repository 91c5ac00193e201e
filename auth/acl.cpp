#include "auth/acl.hpp"

#include "auth/filter_relation.hpp"
#include "protocol/topic/match.hpp"

#include <algorithm>

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

const Acl::Rules& Acl::own_rules(const Subject& subject) const {
    static const Rules kNone;
    if (subject.user.empty()) return anonymous_;
    const auto found = users_.find(subject.user);
    return found == users_.end() ? kNone : found->second;
}

Decider Acl::decide(const Subject& subject, const Question& question) const {
    Decider granted;
    const bool has_grants = subject.grants != nullptr;
    if (has_grants) {
        const std::vector<Grant>& all = subject.grants->all();
        granted.allowed = std::any_of(all.begin(), all.end(), [&](const Grant& grant) {
            const bool is_meant = question.access == Access::read ? grant.read : grant.write;
            return is_meant && question.granted_by(grant.filter);
        });
        if (!granted.allowed) return granted;
    }
    const auto look = [&](const Rule& rule, std::string_view filter) {
        if (rule.denies()) return question.forbidden_by(filter);
        if (granted.allowed || has_grants || !rule.grants(question.access)) return false;
        if (question.granted_by(filter)) granted = {.allowed = true, .line = rule.line};
        return false;
    };
    for (const Rule& rule : own_rules(subject)) {
        if (look(rule, rule.filter)) return {.allowed = false, .line = rule.line};
    }
    if (patterns_.empty()) return granted;
    // A name with a wildcard in it would widen every pattern; Mosquitto's answer is to let
    // patterns give such a client nothing. Their denies are then taken as met.
    if (has_wildcard(subject.user) || has_wildcard(subject.client_id)) {
        const auto deny = std::find_if(
            patterns_.begin(), patterns_.end(), [](const Rule& rule) { return rule.denies(); });
        if (deny != patterns_.end()) return {.allowed = false, .line = deny->line};
        return granted;
    }
    std::string filter;
    for (const Rule& rule : patterns_) {
        if (rule.has_user && subject.user.empty()) continue;
        std::string_view effective = rule.filter;
        if (rule.has_user || rule.has_client) {
            const bool stays = substitute(rule.filter, subject, filter);
            if (!stays && !rule.denies()) continue;
            effective = filter;
        }
        if (look(rule, effective)) return {.allowed = false, .line = rule.line};
    }
    return granted;
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
    for (const auto& [name, rules] : users_) count += rules.size();
    return count;
}

}  // namespace stentor::auth
