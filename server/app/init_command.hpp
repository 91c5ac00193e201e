#pragma once
// `stentor init [DIR]`: what a first broker needs: a commented configuration, a certificate
// authority with a server's certificate, a password file with an administrator.
// Main thread. Never overwrites anything.

#include <string>
#include <vector>

namespace stentor::app {

struct InitArguments {
    std::string directory = ".";
    std::vector<std::string> hosts;    // names and addresses clients use; empty: this machine's
    std::vector<std::string> clients;  // certificates for these, besides
};

/// 0: done; what was made is on stdout, the administrator's password once. 1: something is there
/// already, or cannot be written. 2: usage.
[[nodiscard]] int run_init(const InitArguments& arguments);

}  // namespace stentor::app
