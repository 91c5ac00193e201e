#include "server/app/version.hpp"

#include "server/app/build_facts.hpp"

#include <boost/version.hpp>
#include <fmt/core.h>
#include <openssl/crypto.h>

namespace stentor::app {
namespace {

/// 90100 -> "9.1.0", with two digits for each part but the first.
std::string dotted(int version) {
    return std::to_string(version / 10'000) + '.' + std::to_string(version / 100 % 100) + '.' +
           std::to_string(version % 100);
}

}  // namespace

std::string_view version() noexcept { return kBuild.version; }

std::string version_text() {
    std::string out = "stentor " + std::string{version()} + '\n';
    out += "commit     " + std::string{kBuild.commit} + '\n';
    out += "build      " + std::string{kBuild.type} + '\n';
#if defined(__clang__)
    out += "compiler   clang " __clang_version__ "\n";
#else
    out += "compiler   g++ " __VERSION__ "\n";
#endif
    out += "protocols  MQTT 3.1.1, 5.0\n";
    out += "libraries  " + std::string{OpenSSL_version(OPENSSL_VERSION)} + "; Boost " +
           std::to_string(BOOST_VERSION / 100'000) + '.' +
           std::to_string(BOOST_VERSION / 100 % 1000) + "; fmt " + dotted(FMT_VERSION) + '\n';
    return out;
}

}  // namespace stentor::app
