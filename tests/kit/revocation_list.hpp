#pragma once
// Lists of revoked certificates, which a broker's authority does not make by itself.
// Pure, but for OpenSSL's clock. Any thread.

#include "auth/certificate_maker.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace stentor::kit {

/// The PEM of a list that `authority` signs: valid from half an hour ago to `life` from now, with
/// the certificates `revoked` (PEM). Throws when OpenSSL fails.
[[nodiscard]] std::string revocation_list(const auth::CertificateMaker& authority,
                                          std::chrono::seconds life,
                                          const std::vector<std::string>& revoked = {});

}  // namespace stentor::kit
