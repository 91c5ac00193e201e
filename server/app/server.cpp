#include "server/app/server.hpp"

namespace stentor::app {

Result<std::unique_ptr<Server>, Problem> Server::start(const config::Options& /*options*/,
                                                       Access /*access*/) {
    return Problem{.what = "this build has no server inside", .hint = {}};
}

}  // namespace stentor::app
