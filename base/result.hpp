#pragma once
// Result<T, E>: a value, or the reason why there is none; and the macros that pass the reason up.
// Pure. For what a peer, a file or the disk can cause; our own mistakes are STENTOR_ASSERT.

#include "base/assert.hpp"

#include <boost/system/result.hpp>

#include <type_traits>
#include <utility>

namespace stentor {

template <class T, class E = boost::system::error_code>
using Result = boost::system::result<T, E>;

/// What value() of a failed Result does for the error enumerations of namespace stentor (found by
/// argument-dependent look-up). Asking without having checked is our mistake, not an exception.
template <class E>
requires std::is_enum_v<E>
[[noreturn]] void throw_exception_from_error(E /*error*/, const boost::source_location& /*at*/) {
    assertion_failed(__FILE__, __LINE__, "has_value()", "value() of a failed Result");
}

}  // namespace stentor

#define STENTOR_DETAIL_PASTE(a, b) a##b
#define STENTOR_DETAIL_CONCAT(a, b) STENTOR_DETAIL_PASTE(a, b)
#define STENTOR_DETAIL_TRY(result, declaration, ...)                         \
    auto result = (__VA_ARGS__);                                             \
    if (!result) [[unlikely]]                                                \
        return {::boost::system::in_place_error, std::move(result).error()}; \
    declaration = *std::move(result)

/// STENTOR_TRY(auto value, expression): evaluates a Result; on failure the function returns its
/// error (any Result with the same E will do as return type), otherwise `value` is its value.
/// `value` may also be an existing variable. Two statements: not the body of an unbraced `if`.
#define STENTOR_TRY(declaration, ...) \
    STENTOR_DETAIL_TRY(STENTOR_DETAIL_CONCAT(stentor_try_, __COUNTER__), declaration, __VA_ARGS__)

/// STENTOR_TRY_VOID(expression): the same where there is no value to keep. One statement.
#define STENTOR_TRY_VOID(...)                                                                \
    do {                                                                                     \
        if (auto stentor_try_result = (__VA_ARGS__); !stentor_try_result) [[unlikely]]       \
            return {::boost::system::in_place_error, std::move(stentor_try_result).error()}; \
    } while (false)
