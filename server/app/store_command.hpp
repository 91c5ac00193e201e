#pragma once
// `stentor store check|backup|stats|dump DIR`: looks at a data directory, or copies it.
// Main thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace stentor::app {

struct StoreArguments {
    enum class Action : std::uint8_t { check, backup, stats, dump };
    Action action = Action::check;
    std::string directory;
    std::string destination;  // of backup
    bool json = false;
    // of dump
    std::uint64_t from = 1;
    std::optional<std::uint64_t> to;
    std::string topic;
    std::string client;
    std::size_t payload_bytes_max = 0;
};

/// 0: done, and check has found nothing. 1: it has, or it could not be done. 2: usage.
[[nodiscard]] int run_store(const StoreArguments& arguments);

}  // namespace stentor::app
