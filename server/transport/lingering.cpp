#include "server/transport/lingering.hpp"

#include "base/ids.hpp"
#include "server/transport/socket_write.hpp"

#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace stentor::server {

void Lingering::add(Descriptor descriptor,
                    mqtt::WireBuffer out,
                    Instant deadline,
                    std::uint64_t& bytes_sent) {
    const Sent sent = send_gathered(descriptor.get(), out, bytes_sent);
    if (sent == Sent::broken || deadlines_.size() >= connections_max_) return;
    std::uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<std::uint32_t>(connections_.size());
        connections_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    connections_[index] = std::make_unique<Connection>(Connection{
        .descriptor = std::move(descriptor), .out = std::move(out), .sent = sent == Sent::all});
    deadlines_.emplace_back(deadline, index);
    poll_for(index, EPOLL_CTL_ADD, EPOLLIN | (sent == Sent::blocked ? EPOLLOUT : 0U));
    if (sent == Sent::all) (void)::shutdown(connections_[index]->descriptor.get(), SHUT_WR);
}

void Lingering::poll_for(std::uint32_t index, int how, std::uint32_t events) {
    epoll_event event{.events = events,
                      .data = {.u64 = ConnectionId{first_slot_ + index, 0}.packed()}};
    (void)::epoll_ctl(epoll_, how, connections_[index]->descriptor.get(), &event);
}

void Lingering::on_event(std::uint32_t index,
                         std::uint32_t events,
                         MutableByteView scratch,
                         std::uint64_t& bytes_sent) {
    Connection* connection = index < connections_.size() ? connections_[index].get() : nullptr;
    if (connection == nullptr) return;  // ended earlier in this turn
    if (!connection->sent && (events & EPOLLOUT) != 0) {
        const Sent sent = send_gathered(connection->descriptor.get(), connection->out, bytes_sent);
        if (sent == Sent::broken) {
            end(index);
            return;
        }
        if (sent == Sent::all) {
            connection->sent = true;
            poll_for(index, EPOLL_CTL_MOD, EPOLLIN);
            (void)::shutdown(connection->descriptor.get(), SHUT_WR);
        }
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    const ssize_t got = ::recv(connection->descriptor.get(), scratch.data(), scratch.size(), 0);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    end(index);
}

void Lingering::end(std::uint32_t index) {
    connections_[index].reset();  // closes it, which also takes it out of epoll
    std::erase_if(deadlines_, [&](const auto& each) { return each.second == index; });
    free_.push_back(index);
}

void Lingering::expire(Instant now) {
    while (!deadlines_.empty() && deadlines_.front().first <= now) {
        end(deadlines_.front().second);
    }
}

}  // namespace stentor::server
