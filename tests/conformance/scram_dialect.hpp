#pragma once
// Lets rows about AUTH run against a broker that knows SCRAM-SHA-256 (RFC 5802, RFC 7677) and not
// the tables' method TEST: the rows say "question", "answer", "wrong" and "welcome", the wire
// carries what SCRAM makes of them. The client's side, written down a second time for the tests.
// One thread; one object per broker.

#include "tests/conformance/packet_text.hpp"
#include "tests/conformance/wire.hpp"

#include <map>
#include <string>
#include <string_view>

namespace stentor::conformance {

class ScramDialect {
  public:
    /// Everybody is this user; both are printable ASCII without comma and equals sign.
    ScramDialect(std::string user, std::string password);

    /// A packet that `client` is about to send. Throws BadText for an answer to nothing.
    void before_send(std::string_view client, PacketText& packet);

    /// A packet that has come for `client`. Challenges and the server's last word are checked; one
    /// that is wrong stays as it is, so that no row accepts it.
    void after_receive(std::string_view client, Packet& packet);

  private:
    struct Exchange {
        std::string first_bare;    // client-first-message-bare
        std::string server_first;  // empty until the question has come
        std::string server_last;   // what proves that the server has the keys
    };

    [[nodiscard]] std::string begin(Exchange& exchange);
    [[nodiscard]] std::string answer(Exchange& exchange) const;

    std::string user_;
    std::string password_;
    unsigned nonces_ = 0;
    std::map<std::string, Exchange, std::less<>> exchanges_;
};

}  // namespace stentor::conformance
