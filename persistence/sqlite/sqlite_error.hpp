#pragma once
// What went wrong in SQLite: for callers the StoreErrc they act on, for people the file that is at
// fault, the system's words and a way out, where SQLite says only "unable to open database file".
// Any thread that has the connection.

#include "persistence/store_error.hpp"

#include <sqlite3.h>

#include <string>

namespace stentor::store {

struct SqliteError {
    int code = 0;      // extended, where the connection knows it
    int os_error = 0;  // what the system answered (errno); 0: not known
};

/// Behind the name of a database: of an empty file that is made, and removed at once, to find out
/// why none can be made beside it.
inline constexpr const char* kProbeSuffix = "-probe";

/// To be called at once, as the connection forgets. Without a connection: what errno says. Where
/// SQLite has lost why it could not make a file, it is tried again beside `database`.
[[nodiscard]] SqliteError sqlite_error(sqlite3* connection, int code, const std::string& database);

[[nodiscard]] StoreErrc errc_of(const SqliteError& error) noexcept;
/// Of a call of our own that the system has refused with `os_error`, and that has changed nothing.
[[nodiscard]] StoreErrc errc_of_system(int os_error) noexcept;
/// What the system says, and a way out where there is a general one.
[[nodiscard]] std::string explain_system(int os_error);

struct Explanation {
    std::string file;  // the database, one of those beside it, or the directory
    int os_error = 0;
    std::string text;  // without a full stop
};

/// Looks at the files; a few system calls.
[[nodiscard]] Explanation explain(sqlite3* connection,
                                  const SqliteError& error,
                                  const std::string& database);

}  // namespace stentor::store
