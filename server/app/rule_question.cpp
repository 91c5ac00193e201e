#include "server/app/rule_question.hpp"

#include "auth/acl.hpp"
#include "protocol/topic/validate.hpp"
#include "server/app/access.hpp"
#include "server/app/exit_code.hpp"
#include "server/config/diagnostic.hpp"
#include "server/config/text_file.hpp"

#include <algorithm>
#include <iostream>
#include <string_view>

namespace stentor::app {
namespace {

class Answers {
  public:
    Answers(const config::Options& options, const RuleQuestion& question)
        : options_{options},
          question_{question},
          who_{question.user->empty() ? "a client without a name" : *question.user} {
        // Whom it comes as is known only when it comes: the name is all there is to go by.
        for (const std::string& admin : options.http.admins) {
            if (question.user->empty() || admin.substr(admin.find(':') + 1) != *question.user)
                continue;
            is_admin_ = true;
            who_ += " (an admin as " + admin + ')';
            break;
        }
    }

    /// False: the file has mistakes, and they have been printed.
    [[nodiscard]] bool read_rules() {
        if (options_.auth.acl_file.empty()) return true;
        const auto policy = options_.auth.acl_subscribe == config::AclSubscribe::filter
                                ? auth::SubscribePolicy::filter
                                : auth::SubscribePolicy::refuse;
        auto acl = read_acl_file(options_.auth.acl_file, policy);
        if (!acl) {
            std::cerr << config::render(acl.error());
            return false;
        }
        acl_ = *std::move(acl);
        auto text = config::read_text_file(options_.auth.acl_file, kAccessFileBytesMax);
        if (text) text_ = *std::move(text);
        return true;
    }

    /// False: one is not in the file, where a misspelt one would only seem to allow nothing.
    [[nodiscard]] bool take_roles() {
        std::vector<std::string_view> names;
        for (const std::string& role : question_.roles) {
            if (!acl_.has_role(role)) {
                mistake("--role", role, "a role of the ACL file (auth.acl_file)");
            } else if (names.size() == auth::kRolesMax) {
                mistake("--role", role, "one of the first " + std::to_string(auth::kRolesMax));
            } else {
                names.push_back(role);
            }
        }
        roles_ = auth::RoleNames::of(names);
        return code_ == kExitOk;
    }

    void publishes(const std::string& topic) {
        if (mqtt::check_topic_name(topic, limits()) != mqtt::TopicCheck::ok) {
            mistake("--publish", topic, "a topic name");
            return;
        }
        say("publishes to",
            topic,
            topic,
            acl_.publish(subject(), topic),
            "nobody may publish there");
    }

    void subscribes(const std::string& filter) {
        const auto parsed = mqtt::parse_subscription_filter(filter, limits());
        if (parsed.check != mqtt::TopicCheck::ok) {
            mistake("--subscribe", filter, "a topic filter");
            return;
        }
        say("subscribes to",
            filter,
            parsed.filter,
            acl_.subscribe(subject(), parsed.filter),
            "no rule is needed: only admins read there");
    }

    [[nodiscard]] int code() const noexcept { return code_; }

  private:
    [[nodiscard]] mqtt::TopicLimits limits() const noexcept {
        return {.levels_max = static_cast<std::uint16_t>(options_.limits.topic_levels_max)};
    }
    [[nodiscard]] auth::Subject subject() const noexcept {
        return {.user = *question_.user,
                .client_id = question_.client_id,
                .is_admin = is_admin_,
                .roles = roles_.get()};
    }

    void mistake(std::string_view flag, std::string_view text, std::string_view what) {
        std::cerr << "error: " << flag << ": \"" << text << "\" is not " << what << '\n';
        code_ = kExitUsage;
    }

    void say(std::string_view does,
             const std::string& asked,
             std::string_view topic,  // without $share
             const auth::Decider& decider,
             std::string_view why_refused_below_sys) {
        std::cout << (decider.allowed ? "allowed  " : "refused  ") << who_ << ' ' << does << ' '
                  << asked << ": " << reason(decider, topic, why_refused_below_sys) << '\n';
        if (!decider.allowed) code_ = std::max(code_, kExitFailed);
    }

    [[nodiscard]] std::string reason(const auth::Decider& decider,
                                     std::string_view topic,
                                     std::string_view why_refused_below_sys) const {
        if (decider.line != 0) {
            return options_.auth.acl_file + ':' + std::to_string(decider.line) + ": " +
                   std::string{config::line_of(text_, decider.line)} +
                   (decider.role.empty() ? "" : " (role " + std::string{decider.role} + ')');
        }
        const bool is_sys = topic == "$SYS" || topic.starts_with("$SYS/");
        if (is_sys) {
            return decider.allowed ? "it is an admin" : std::string{why_refused_below_sys};
        }
        if (!decider.allowed) return "no rule of " + options_.auth.acl_file + " allows it";
        return options_.auth.acl_file.empty()
                   ? "there are no rules (auth.acl_file)"
                   : "each message is judged when it is delivered (auth.acl_subscribe)";
    }

    const config::Options& options_;
    const RuleQuestion& question_;
    std::string who_;
    bool is_admin_ = false;
    auth::Acl acl_;
    auth::RoleNamesPtr roles_;
    std::string text_;
    int code_ = kExitOk;
};

}  // namespace

int answer_rule_question(const config::Options& options, const RuleQuestion& question) {
    Answers answers{options, question};
    if (!answers.read_rules() || !answers.take_roles()) return kExitUsage;
    for (const std::string& topic : question.publish) answers.publishes(topic);
    for (const std::string& filter : question.subscribe) answers.subscribes(filter);
    return answers.code();
}

}  // namespace stentor::app
