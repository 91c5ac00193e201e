// Password files: any text is read or refused; editing one user leaves the others alone. Nothing is
// hashed here: that is slow on purpose.

#include "auth/password_file.hpp"
#include "base/assert.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <algorithm>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace stentor::auth;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const std::string_view line = text.substr(0, text.find('\n'));
    if (const auto hash = PasswordHash::parse(line)) {
        const auto again = PasswordHash::parse(hash->encoded());
        STENTOR_ASSERT(again && again->encoded() == hash->encoded());
    }
    const auto file = PasswordFile::parse(text);
    if (!file) {
        STENTOR_ASSERT(!file.error().empty());
        return 0;
    }
    const auto& names = file->user_names();
    STENTOR_ASSERT(names.size() == file->user_count());
    const auto hash = PasswordHash::parse("$6$AAAAAAAAAAAAAAAA$" + std::string(86, 'A') + "==");
    const auto added = PasswordFile::parse(with_user(text, "new user", *hash));
    STENTOR_ASSERT(added.has_value());
    const bool was_there = std::find(names.begin(), names.end(), "new user") != names.end();
    STENTOR_ASSERT(added->user_count() == names.size() + (was_there ? 0 : 1));
    for (const std::string& name : names) {
        STENTOR_ASSERT(user_name_error(name) == nullptr);
        const auto rest = without_user(text, name);
        STENTOR_ASSERT(rest.has_value());
        const auto without = PasswordFile::parse(*rest);
        STENTOR_ASSERT(without && without->user_count() == names.size() - 1);
        if (names.size() > 20) break;  // quadratic
    }
    return 0;
}
