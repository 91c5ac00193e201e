// What a web service answers, and its headers file: any text is understood or refused, and what is
// understood is within its bounds. The first byte chooses the status.

#include "auth/http/login_answer.hpp"
#include "auth/http/service_headers.hpp"
#include "auth/jwt/jwt_rules.hpp"
#include "auth/user_name.hpp"
#include "base/assert.hpp"
#include "protocol/topic/validate.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <string>
#include <string_view>

namespace {

using namespace stentor;
using namespace stentor::auth;

constexpr std::int64_t kNow = 1'700'000'000'000;
constexpr std::array<unsigned, 8> kStatuses{200, 204, 302, 401, 404, 500, 100, 0};

void try_answer(std::string_view text, unsigned status) {
    const auto answer = read_login_answer(
        {.status = status, .body = std::string{text}}, {.client_id = "c/+", .user = "anna"}, kNow);
    if (!answer) {
        STENTOR_ASSERT(!answer.error().why.empty() && answer.error().why.size() < 300);
        return;
    }
    STENTOR_ASSERT(status == 200);
    STENTOR_ASSERT(answer->reason.size() <= 200);
    if (answer->result != LoginResult::allow) {
        STENTOR_ASSERT(!answer->grants && !answer->is_admin && !answer->valid_for);
        STENTOR_ASSERT(!answer->roles);
        return;
    }
    STENTOR_ASSERT(is_user_name(answer->user));
    STENTOR_ASSERT(!answer->valid_for || answer->valid_for->count() > 0);
    if (answer->roles != nullptr) {
        STENTOR_ASSERT(answer->roles->bytes() < kRolesMax * (kRoleNameBytesMax + 1) + 100);
        STENTOR_ASSERT(answer->roles->all_of(&is_role_name));
    }
    if (answer->grants == nullptr) return;
    STENTOR_ASSERT(answer->grants->all().size() <= kJwtRulesMax);
    for (const Grant& grant : answer->grants->all()) {
        STENTOR_ASSERT(mqtt::check_topic_filter(grant.filter) == mqtt::TopicCheck::ok);
        STENTOR_ASSERT(grant.read || grant.write);
    }
}

void try_headers(std::string_view text) {
    const auto headers = parse_service_headers(text);
    if (!headers) {
        STENTOR_ASSERT(!headers.error().empty());
        return;
    }
    STENTOR_ASSERT(headers->size() <= kServiceHeadersMax);
    for (const ServiceHeader& header : *headers) {
        STENTOR_ASSERT(!header.name.empty());
        STENTOR_ASSERT(header.name.find_first_of("\r\n: ") == std::string::npos);
        STENTOR_ASSERT(header.value.find_first_of("\r\n") == std::string::npos);
        STENTOR_ASSERT(header.value.find('\0') == std::string::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    // '0' is 200, so that a corpus can be written by hand.
    try_answer(text, kStatuses[data[0] % kStatuses.size()]);
    try_headers(text);
    return 0;
}
