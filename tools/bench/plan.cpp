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
    if (is_publisher(client)) return {};
    const std::uint32_t subscriber = client - publishers;
    switch (listening) {
        case Listening::own:
            return {topic(subscriber)};
        case Listening::all:
            return {topics == 1 ? topic(0) : fmt::format("bench/{}/+", run)};
        case Listening::nothing:
            break;
    }
    std::vector<std::string> filters;
    for (std::uint32_t i = 0; i < filters_per_client; ++i) {
        filters.push_back(fmt::format("bench/{}/client/{}/{}", run, subscriber, i));
    }
    return filters;
}

std::uint32_t run_number(const std::string& run) noexcept {
    std::uint32_t hash = 2'166'136'261U;  // FNV-1a: the same in every process
    for (const char c : run) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
    return hash == 0 ? 1 : hash;
}

}  // namespace stentor::bench
