#pragma once
// What the API says about the node and does to it: values between it and the app.
// Pure. Any thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stentor::admin {

struct NodeFacts {
    std::string name = {};
    std::string version = {};
    std::string commit = {};
    std::int64_t started_unix_ms = 0;
    std::uint64_t uptime_seconds = 0;
    std::size_t shards = 0;
    std::size_t shards_silent = 0;  // that had no time to answer
    std::size_t sessions_connected = 0;
    std::size_t sessions_away = 0;
    std::size_t subscriptions = 0;
    std::size_t shared_groups = 0;
    std::size_t retained_messages = 0;
    std::size_t inflight_messages = 0;
    std::uint64_t http_connections = 0;
    struct Listener {
        std::string url = {};
        std::uint64_t connections = 0;
    };
    std::vector<Listener> listeners = {};
    struct Store {
        std::string directory = {};  // empty: in memory
        std::string acknowledge_after = {};
        std::uint64_t log_bytes = 0;
        std::uint64_t log_bytes_max = 0;
        std::uint64_t disk_free_bytes = 0;
        std::uint64_t commits = 0;
        std::uint64_t reopened = 0;
    } store = {};
};

/// How a reload went.
struct ReloadReport {
    enum class Outcome : std::uint8_t {
        applied,
        refused,   // by `mistakes`; everything is as it was
        stopping,  // nobody reloads any more
    };
    struct Mistake {
        std::string source = {};  // file, or key
        std::size_t line = 0;
        std::size_t column = 0;
        std::string what = {};
        std::string hint = {};
    };
    Outcome outcome = Outcome::stopping;
    std::vector<std::string> changed = {};         // keys that are in force now
    std::vector<std::string> restart_needed = {};  // keys that wait for the next start
    std::vector<Mistake> mistakes = {};
};

struct BackupReport {
    enum class Outcome : std::uint8_t {
        done,
        off,        // http.backup_dir is empty
        in_memory,  // there is nothing to copy
        exists,     // a backup of that name
        under_way,  // another one
        failed,     // `why` says it
    };
    Outcome outcome = Outcome::failed;
    std::string directory = {};  // done
    std::uint64_t bytes = 0;
    std::uint64_t segments = 0;
    std::string why = {};
};

}  // namespace stentor::admin
