#include "auth/http/login_answer.hpp"

#include "auth/jwt/json.hpp"
#include "auth/jwt/jwt_roles.hpp"
#include "auth/jwt/jwt_rules.hpp"
#include "auth/user_name.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::auth {
namespace {

namespace json = boost::json;
using Milliseconds = std::chrono::milliseconds;

constexpr std::size_t kShownBytesMax = 64;
constexpr std::size_t kReasonBytesMax = 200;
constexpr std::array<std::string_view, 7> kMembers{
    "result", "username", "roles", "acl", "admin", "expire_at", "reason"};

HttpFailure fails(std::string why) { return {std::move(why)}; }

std::string_view view_of(json::string_view text) noexcept { return {text.data(), text.size()}; }

/// No more than `bytes_max`, and no character cut in two.
std::string_view beginning(std::string_view text, std::size_t bytes_max) noexcept {
    std::size_t size = 0;
    while (size < text.size()) {
        const std::size_t next = utf8_length(text.substr(size));
        if (next == 0 || size + next > bytes_max) break;
        size += next;
    }
    return text.substr(0, size);
}

/// Null: the answer has no such member, or null there.
const json::value* find(const json::object& members, std::string_view name) noexcept {
    const json::value* const found = members.if_contains({name.data(), name.size()});
    return found == nullptr || found->is_null() ? nullptr : found;
}

HttpFailure failure_of(unsigned status) {
    std::string why = "it answers with status " + std::to_string(status);
    if (status >= 300 && status < 400) {
        why += ", a redirect, which is not followed: set auth.http.url to where it leads";
    } else if (status == 401 || status == 403 || status == 407) {
        why += ": it refuses the broker, not the client (auth.http.headers_file?)";
    } else if (status == 404 || status == 405) {
        why += ": there is nobody who answers questions (POST) at auth.http.url";
    } else {
        why += " instead of 200";
    }
    return fails(std::move(why));
}

Result<LoginResult, HttpFailure> read_result(const json::object& members) {
    const json::value* const result = find(members, "result");
    if (result == nullptr || !result->is_string()) return fails("its answer has no \"result\"");
    const std::string_view text = view_of(result->get_string());
    if (text == "allow") return LoginResult::allow;
    if (text == "deny") return LoginResult::deny;
    if (text == "ignore") return LoginResult::ignore;
    return fails("its answer's \"result\" is none of allow, deny and ignore");
}

Result<void, HttpFailure> read_name(const json::object& members,
                                    const LoginNames& names,
                                    LoginAnswer& answer) {
    answer.user = names.user;
    const json::value* const name = find(members, "username");
    if (name == nullptr) return {};
    if (!name->is_string() || !is_user_name(view_of(name->get_string()))) {
        return fails("its answer's \"username\" is not a name");
    }
    answer.user = view_of(name->get_string());
    return {};
}

Result<void, HttpFailure> read_end(const json::object& members,
                                   std::int64_t now_unix_ms,
                                   LoginAnswer& answer) {
    const json::value* const end = find(members, "expire_at");
    if (end == nullptr) return {};
    const auto at = unix_ms_of(*end);
    if (!at) return fails("its answer's \"expire_at\" is no time (seconds since 1970)");
    answer.valid_for = Milliseconds{*at - now_unix_ms};
    return {};
}

/// What only matters to somebody who is let in.
Result<void, HttpFailure> read_terms(const json::object& members,
                                     const LoginNames& names,
                                     std::int64_t now_unix_ms,
                                     LoginAnswer& answer) {
    STENTOR_TRY_VOID(read_name(members, names, answer));
    STENTOR_TRY_VOID(read_end(members, now_unix_ms, answer));
    if (const json::value* const admin = find(members, "admin")) {
        if (!admin->is_bool()) return fails("its answer's \"admin\" is neither true nor false");
        answer.is_admin = admin->get_bool();
    }
    if (const json::value* const rules = find(members, "acl")) {
        auto read = read_jwt_rules(*rules, {.user = answer.user, .client_id = names.client_id});
        if (!read) return fails("its answer cannot be used: " + read.error().why);
        answer.grants = *std::move(read);
    }
    if (const json::value* const roles = find(members, "roles")) {
        auto read = read_jwt_roles(*roles);
        if (!read) return fails("its answer cannot be used: " + read.error().why);
        answer.roles = *std::move(read);
    }
    return {};
}

}  // namespace

Result<LoginAnswer, HttpFailure> read_login_answer(const HttpReply& reply,
                                                   const LoginNames& names,
                                                   std::int64_t now_unix_ms) {
    if (reply.status != 200) return failure_of(reply.status);
    const auto members = parse_json_object(reply.body);
    if (!members) return fails("its answer is no JSON object: " + members.error().what);
    for (const auto& [name, value] : *members) {
        if (std::find(kMembers.begin(), kMembers.end(), view_of(name)) != kMembers.end()) continue;
        return fails(
            "its answer has a member \"" + std::string{beginning(view_of(name), kShownBytesMax)} +
            "\" that is none of result, username, roles, acl, admin, expire_at and reason");
    }
    LoginAnswer answer;
    STENTOR_TRY(answer.result, read_result(*members));
    if (answer.result == LoginResult::allow) {
        STENTOR_TRY_VOID(read_terms(*members, names, now_unix_ms, answer));
        if (!answer.valid_for || *answer.valid_for > Milliseconds{0}) return answer;
        return LoginAnswer{.result = LoginResult::deny,
                           .reason = "its expire_at has passed, if this machine's clock is right"};
    }
    const json::value* const reason = find(*members, "reason");
    if (reason != nullptr && reason->is_string()) {
        answer.reason = beginning(view_of(reason->get_string()), kReasonBytesMax);
    }
    return answer;
}

}  // namespace stentor::auth
