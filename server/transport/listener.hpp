#pragma once
// A bound, listening socket: TCP or Unix. Opened by the main thread, then polled by every shard
// (the kernel wakes one of them per connection), closed when the last owner goes.

#include "base/descriptor.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <string>

namespace stentor::server {

struct ListenAddress {
    std::string host;  // name or numeric address; empty with `path`
    std::uint16_t port = 0;
    std::string path;  // of a Unix socket
};

struct ListenError {
    int code = 0;      // errno, or 0 when the name could not be resolved
    std::string what;  // "cannot resolve ...", "cannot bind ..."
};

class Listener {
  public:
    /// Resolves, binds and listens. Of a name with several addresses the first IPv4 one is taken.
    /// Port 0 takes a free one. A Unix socket file that nobody listens on any more is replaced.
    [[nodiscard]] static Result<Listener, ListenError> open(const ListenAddress& address,
                                                            std::uint16_t index);

    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
    /// Position in the configuration.
    [[nodiscard]] std::uint16_t index() const noexcept { return index_; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Only this machine can reach it: bound to a loopback address, or a Unix socket.
    [[nodiscard]] bool is_loopback() const noexcept { return loopback_; }
    [[nodiscard]] bool is_unix() const noexcept { return !path_.empty(); }

    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) noexcept = default;
    /// Removes the file of a Unix socket.
    ~Listener();

  private:
    Listener() = default;
    [[nodiscard]] Result<void, ListenError> bind_unix(const std::string& path);
    [[nodiscard]] Result<void, ListenError> bind_tcp(const ListenAddress& address);

    Descriptor socket_;
    std::string path_;
    std::uint16_t index_ = 0;
    std::uint16_t port_ = 0;
    bool loopback_ = false;
};

}  // namespace stentor::server
