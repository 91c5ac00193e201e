#pragma once
// Who may publish and read what: the rules of an ACL file in Mosquitto's syntax.
// Immutable; a reload makes a new one and swaps the shared_ptr. Pure; any thread.
//
//     topic read news/#             before any user line: for clients without a name
//     pattern devices/%c/#          for everybody; %c is the client id, %u the user name
//     user anna                     from here on for anna
//     topic write sensors/anna/#    read | write | readwrite (default) | deny
//     role meter                    from here on for who has the role (Mosquitto's files have none)
//     member bert                   he has it, and so has whose credentials name it
//     topic read prices/#
//     pattern write meters/%u       for the role, not for everybody
//
// A name with '/' in it, or with '$' where a filter would begin with it, gets nothing from a
// pattern with its placeholder: it would reach into what is others' (Mosquitto lets it).
//
// What no rule allows is denied; a deny that matches wins, whatever else matches and wherever it
// stands. (In Mosquitto a user's own topic line wins over a deny of a pattern line.) A rule that
// does not begin with '$' says nothing about topics that do. What the rules of a user, of all its
// roles and the patterns for everybody say counts together.

#include "auth/file_error.hpp"
#include "auth/grants.hpp"
#include "auth/role_names.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::auth {

/// Whose rules: borrowed for the call.
struct Subject {
    std::string_view user;  // as authenticated; empty: anonymous
    std::string_view client_id;
    bool is_admin = false;
    /// Of its credentials. With grants the rules allow nothing more, but for those of these roles;
    /// what rules deny, they deny.
    const Grants* grants = nullptr;
    const RoleNames* roles = nullptr;
};

/// refuse: a filter that matches more than may be read is refused as a whole.
/// filter: it is granted, and deliver() decides about each message (Mosquitto).
enum class SubscribePolicy : std::uint8_t { refuse, filter };

enum class Access : std::uint8_t { read, write };

struct Decider {
    bool allowed = false;
    /// The line of the rule that decided; 0: none matched, or no rule was needed.
    std::uint32_t line = 0;
    std::string_view role = {};  // whose rule it is; empty: no role's. Lives as long as the Acl

    explicit operator bool() const noexcept { return allowed; }
};

class Acl {
  public:
    /// Allows everything but $SYS: what holds without an ACL file.
    Acl() = default;
    explicit Acl(SubscribePolicy policy) noexcept : policy_{policy} {}

    /// Understands a file, or names all its mistakes. The text is not needed afterwards.
    [[nodiscard]] static Result<Acl, std::vector<FileError>> parse(std::string_view text,
                                                                   SubscribePolicy policy);

    /// True: publish() and deliver() would say yes to every topic that does not begin with '$', for
    /// subjects without grants. Ask this first; it is one load.
    [[nodiscard]] bool allows_everything() const noexcept { return !restricted_; }
    [[nodiscard]] SubscribePolicy subscribe_policy() const noexcept { return policy_; }

    /// `topic` is a valid topic name. Nobody may publish below $SYS: it is the broker's.
    [[nodiscard]] Decider publish(const Subject& subject, std::string_view topic) const;

    /// `filter` is a valid filter without its "$share/{name}/". Below $SYS admins may read, others
    /// only where a rule says so. A filter is allowed if one rule covers it and no deny overlaps
    /// it: several rules that cover it only together are not enough.
    [[nodiscard]] Decider subscribe(const Subject& subject, std::string_view filter) const;

    /// Needed per message only with SubscribePolicy::filter, and for subscriptions that were
    /// granted before a reload or to other credentials.
    [[nodiscard]] Decider deliver(const Subject& subject, std::string_view topic) const;

    [[nodiscard]] std::size_t rule_count() const noexcept;
    [[nodiscard]] std::size_t role_count() const noexcept { return roles_.size(); }
    [[nodiscard]] bool has_role(std::string_view name) const { return role_places_.contains(name); }

  private:
    friend class AclParser;  // fills the rules; nobody else does

    struct Rule {
        bool read = false;
        bool write = false;  // neither: deny
        bool has_user = false;
        bool has_client = false;
        std::uint32_t line = 0;
        std::string filter;

        [[nodiscard]] bool denies() const noexcept { return !read && !write; }
        [[nodiscard]] bool grants(Access access) const noexcept {
            return access == Access::read ? read : write;
        }
    };
    using Rules = std::vector<Rule>;

    using RolePlace = std::uint16_t;  // in roles_
    static constexpr std::size_t kFileRolesMax = 65'535;

    struct User {
        Rules topics;
        std::vector<RolePlace> roles;  // at most kRolesMax
    };
    struct Role {
        std::string name;
        Rules topics;
        Rules patterns;
    };

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    template <class Value>
    using ByName = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

    /// How a rule's filter relates to what is asked for: a topic or a filter.
    struct Question;
    /// A question on its way past the rules.
    class Walk;

    [[nodiscard]] Decider decide(const Subject& subject, const Question& question) const;
    [[nodiscard]] bool ask_own(const Subject& subject, Walk& walk) const;
    [[nodiscard]] bool ask_named_roles(const Subject& subject, Walk& walk) const;
    /// Nothing to look up for this subject: neither rules nor grants.
    [[nodiscard]] bool is_free(const Subject& subject) const noexcept {
        return !restricted_ && subject.grants == nullptr;
    }

    bool restricted_ = false;
    SubscribePolicy policy_ = SubscribePolicy::refuse;
    Rules anonymous_;
    ByName<User> users_;
    std::vector<Role> roles_;
    ByName<RolePlace> role_places_;
    Rules patterns_;  // for everybody
};

}  // namespace stentor::auth
