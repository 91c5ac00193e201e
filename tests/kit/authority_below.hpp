#pragma once
// Authorities in the middle of a chain, which a broker's authority does not make by itself.
// Pure, but for OpenSSL's clock and randomness. Any thread.

#include "auth/certificate_maker.hpp"

#include <chrono>
#include <string>

namespace stentor::kit {

/// An authority called `name`, valid from an hour ago to `life` from now, that has signed itself
/// and may sign others. Throws when OpenSSL fails, as the next one.
[[nodiscard]] auth::CertificateMaker authority_above(const std::string& name,
                                                     std::chrono::seconds life);

/// Likewise, signed by `above`.
[[nodiscard]] auth::CertificateMaker authority_below(const auth::CertificateMaker& above,
                                                     const std::string& name,
                                                     std::chrono::seconds life);

}  // namespace stentor::kit
