#include "tests/kit/broker.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace stentor::kit {

std::vector<std::string> broker_command(const BrokerOptions& options) {
    const char* chosen = std::getenv("STENTOR_BINARY");
    std::vector<std::string> words{chosen != nullptr ? chosen : STENTOR_BUILT_BINARY,
                                   "serve",
                                   "--listen",
                                   "mqtt://127.0.0.1:0",
                                   "--data",
                                   options.data_directory,
                                   "--set",
                                   "node.shards=" + std::to_string(options.shards)};
    for (const std::string& setting : options.settings) {
        words.emplace_back("--set");
        words.push_back(setting);
    }
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    return words;
}

Broker::Broker(const BrokerOptions& options) : process_{broker_command(options)} {
    static constexpr std::string_view kListening = "listening url=mqtt://127.0.0.1:";
    const std::string line = process_.wait_for_line(Stream::out, kListening);
    const auto at = line.find(kListening) + kListening.size();
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(at)));
}

ExitStatus Broker::stop(std::chrono::milliseconds limit) {
    process_.terminate();
    return process_.wait(limit);
}

std::size_t Broker::resident_bytes() const {
    static constexpr std::string_view kField = "VmRSS:";
    std::ifstream status{"/proc/" + std::to_string(process_.pid()) + "/status"};
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(kField)) return std::stoul(line.substr(kField.size())) * 1024;
    }
    throw std::runtime_error{"the broker has ended: " + process_.output(Stream::err)};
}

}  // namespace stentor::kit
