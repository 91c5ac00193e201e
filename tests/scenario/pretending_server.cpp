// A Server that opens nothing and writes on stderr what it is asked to do. With
// PRETEND_DRAIN_STALLS in the environment draining never ends; with PRETEND_FAILURE it gives up as
// soon as it is reloaded.

#include "server/app/reload_desk.hpp"
#include "server/app/server.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <sys/eventfd.h>
#include <utility>

namespace stentor::app {
namespace {

class PretendingServer final : public Server {
  public:
    explicit PretendingServer(const config::Options& options)
        : ready_{::eventfd(1, EFD_CLOEXEC)}, stopped_{::eventfd(0, EFD_CLOEXEC)} {
        for (const config::ListenerOptions& listener : options.listeners) {
            urls_.push_back(to_string(listener.url));
        }
    }
    PretendingServer(const PretendingServer&) = delete;
    PretendingServer& operator=(const PretendingServer&) = delete;
    ~PretendingServer() override {
        ::close(ready_);
        ::close(stopped_);
    }

    [[nodiscard]] const std::vector<std::string>& listening_urls() const override { return urls_; }
    [[nodiscard]] int ready_descriptor() const override { return ready_; }
    [[nodiscard]] int stopped_descriptor() const override { return stopped_; }

    void request_stop(StopMode mode) override {
        std::cerr << "pretending to " << (mode == StopMode::drain ? "drain" : "stop at once")
                  << std::endl;
        if (mode == StopMode::drain && std::getenv("PRETEND_DRAIN_STALLS") != nullptr) return;
        stop();
    }

    [[nodiscard]] Result<std::vector<TlsRefusal>, TlsMistakes> reload(
        const config::Options& options, Access access) override {
        std::cerr << "pretending to reload: anonymous=" << static_cast<int>(options.auth.anonymous)
                  << " shards=" << options.node.shards << " links=" << (access.chain != nullptr)
                  << std::endl;
        if (std::getenv("PRETEND_FAILURE") == nullptr) return {boost::system::in_place_value};
        failed_ = true;
        stop();
        return {boost::system::in_place_value};
    }

    [[nodiscard]] ReloadDesk& reload_desk() override { return reload_desk_; }

    void set_bans(std::shared_ptr<const auth::BanList> /*bans*/) override {}

    void look_after_files(const config::Options& /*options*/) override {}

    [[nodiscard]] Result<void, Problem> run() override {
        if (failed_) return Problem{.what = "pretended failure", .hint = "none"};
        return {};
    }

  private:
    void stop() const {
        const std::uint64_t one = 1;
        if (::write(stopped_, &one, sizeof one) < 0) std::abort();
    }

    std::vector<std::string> urls_;
    ReloadDesk reload_desk_;
    int ready_;
    int stopped_;
    bool failed_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>, Problem> Server::start(const config::Options& options,
                                                       Access /*access*/) {
    return std::unique_ptr<Server>{std::make_unique<PretendingServer>(options)};
}

}  // namespace stentor::app
