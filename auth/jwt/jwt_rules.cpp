#include "auth/jwt/jwt_rules.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownBytesMax = 64;

struct Member {
    std::string_view name;
    bool read;
    bool write;
};
constexpr std::array<Member, 5> kMembers{{{"pub", false, true},
                                          {"publish", false, true},
                                          {"sub", true, false},
                                          {"subscribe", true, false},
                                          {"all", true, true}}};

std::string_view view_of(json::string_view text) noexcept { return {text.data(), text.size()}; }

class RuleReader {
  public:
    explicit RuleReader(const GrantNames& names) noexcept : names_{names} {}

    Result<void, JwtRefusal> read(const Member& member, const json::value& filters) {
        if (filters.is_string()) return read_one(member, filters.get_string());
        if (!filters.is_array()) return not_filters(member);
        for (const json::value& each : filters.get_array()) {
            if (!each.is_string()) return not_filters(member);
            STENTOR_TRY_VOID(read_one(member, each.get_string()));
        }
        return {};
    }

    [[nodiscard]] std::vector<Grant> take() && { return std::move(grants_); }

  private:
    static JwtRefusal not_filters(const Member& member) {
        return {"its rules have no topic filters below \"" + std::string{member.name} + '"'};
    }

    Result<void, JwtRefusal> read_one(const Member& member, const json::string& text) {
        if (++filters_ > kJwtRulesMax) {
            return JwtRefusal{"its rules have more than " + std::to_string(kJwtRulesMax) +
                              " topic filters"};
        }
        Grant grant{.filter = {}, .read = member.read, .write = member.write};
        switch (fill_placeholders(view_of(text), names_, grant.filter)) {
            case Filled::ok:
                grants_.push_back(std::move(grant));
                break;
            case Filled::names_nothing:
                break;
            case Filled::no_filter:
                return JwtRefusal{'"' + std::string{view_of(text).substr(0, kShownBytesMax)} +
                                  "\" in its rules is not a topic filter"};
        }
        return {};
    }

    GrantNames names_;
    std::size_t filters_ = 0;
    std::vector<Grant> grants_;
};

}  // namespace

Result<GrantsPtr, JwtRefusal> read_jwt_rules(const json::value& claim, const GrantNames& names) {
    if (!claim.is_object()) return JwtRefusal{"its rules are not a JSON object"};
    RuleReader reader{names};
    for (const auto& [key, filters] : claim.get_object()) {
        const std::string_view name = view_of(key);
        const auto* const member =
            std::find_if(kMembers.begin(), kMembers.end(), [name](const Member& each) {
                return each.name == name;
            });
        if (member == kMembers.end()) {
            return JwtRefusal{"its rules have a member \"" +
                              std::string{name.substr(0, kShownBytesMax)} +
                              "\" that is none of pub, sub, all, publish and subscribe"};
        }
        STENTOR_TRY_VOID(reader.read(*member, filters));
    }
    return GrantsPtr{make_intrusive<Grants>(std::move(reader).take())};
}

}  // namespace stentor::auth
