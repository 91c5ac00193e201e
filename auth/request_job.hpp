#pragma once
// A client's request as a job for an Executor: whoever has slow work to do for one derives from it
// and says what in run(). Lives from post() until it has been run or turned away; what it answers
// through the request goes to the request's sink, on the thread that runs or turns it away.

#include "auth/authenticator.hpp"
#include "auth/executor.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace stentor::auth {

class RequestJob : public Job {
  public:
    [[nodiscard]] std::uint64_t lane() const noexcept final { return request_.credentials().lane; }
    [[nodiscard]] std::size_t bytes() const noexcept final {
        return request_.credentials().bytes();
    }
    [[nodiscard]] bool is_due() final { return request_.begins(); }
    void turned_away() final { std::move(request_).deny(Outcome::overloaded, kNoRoom); }

  protected:
    explicit RequestJob(Request request) noexcept : request_{std::move(request)} {}

    /// run() answers it, exactly once.
    [[nodiscard]] Request& request() noexcept { return request_; }

  private:
    Request request_;
};

}  // namespace stentor::auth
