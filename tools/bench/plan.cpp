#include "tools/bench/plan.hpp"

#include <fmt/format.h>

namespace stentor::bench {

std::string Plan::client_id(std::uint32_t client) const {
    return is_publisher(client) ? fmt::format("bench-{}-p{}", run, client)
                                : fmt::format("bench-{}-s{}", run, client - publishers);
}

std::string Plan::topic(std::uint32_t topic) const {
    return fmt::format("bench/{}/{:08}", run, topic);
}

std::vector<std::string> Plan::filters(std::uint32_t client) const {
    std::vector<std::string> filters;
    if (is_publisher(client)) return filters;
    const std::uint32_t subscriber = client - publishers;
    if (listening == Listening::own) filters.push_back(topic(subscriber));
    if (listening == Listening::all) {
        filters.push_back(topics == 1 ? topic(0) : fmt::format("bench/{}/+", run));
    }
    // A third each of what an index has to keep apart: exact ones, '+' and '#'. The topics have one
    // level less, or another name where it counts.
    for (std::uint32_t i = 0; i < filters_per_client; ++i) {
        const std::string own = fmt::format("s{}-{}", subscriber, i);
        const unsigned kind = i % 3;
        filters.push_back(kind == 0   ? fmt::format("bench/{}/client/{}", run, own)
                          : kind == 1 ? fmt::format("bench/{}/+/{}", run, own)
                                      : fmt::format("bench/{}/{}/#", run, own));
    }
    return filters;
}

std::uint32_t run_number(const std::string& run) noexcept {
    std::uint32_t hash = 2'166'136'261U;  // FNV-1a: the same in every process
    for (const char c : run) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
    return hash == 0 ? 1 : hash;
}

}  // namespace stentor::bench
