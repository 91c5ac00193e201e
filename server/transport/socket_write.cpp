#include "server/transport/socket_write.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <sys/uio.h>

namespace stentor::server {

namespace {

constexpr std::size_t kPartsPerWrite = 64;

}  // namespace

Sent send_gathered(int descriptor, mqtt::WireBuffer& out, std::uint64_t& bytes_sent) {
    while (!out.empty()) {
        std::array<ByteView, kPartsPerWrite> parts;
        std::array<iovec, kPartsPerWrite> vectors;  // NOLINT(*-member-init): filled below
        const std::size_t count = out.gather(parts);
        for (std::size_t i = 0; i < count; ++i) {
            // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): iovec serves reads, too
            vectors[i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
        }
        msghdr header{};
        header.msg_iov = vectors.data();
        header.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(descriptor, &header, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::blocked : Sent::broken;
        }
        bytes_sent += static_cast<std::size_t>(sent);
        out.consume(static_cast<std::size_t>(sent));
    }
    return Sent::all;
}

}  // namespace stentor::server
