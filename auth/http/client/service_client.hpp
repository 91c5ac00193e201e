#pragma once
// Asks a web service over HTTP/1.1: a few connections that are kept, questions that wait for one of
// them, fairly (FairQueue), and an end to all patience. At the bound of the queue whoever brings
// most is turned away. Used on the thread of its io_context only.
//
// A question that a kept connection did not deliver (the service had closed it meanwhile) is asked
// once more on a new one. Redirects are answers like any other: nobody follows them.

#include "auth/fair_queue.hpp"
#include "auth/http/login_answer.hpp"
#include "auth/http/login_desk.hpp"
#include "auth/http/service_headers.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::auth {

struct ServiceOptions {
    bool uses_tls = false;
    std::string host;  // a name or an address, IPv6 without brackets
    std::uint16_t port = 80;
    std::string target = "/";  // path and query, as they are sent
    std::vector<ServiceHeader> headers = {};
    Duration timeout = std::chrono::seconds{5};  // of a question, from ask() to its answer
    std::size_t connections_max = 8;
    std::size_t queue_questions_max = 1024;
    std::size_t queue_bytes_max = std::size_t{16} << 20U;
};

class ServiceClient final : public LoginService,
                            public std::enable_shared_from_this<ServiceClient> {
  public:
    using Reply = Result<HttpReply, HttpFailure>;

    /// Whose questions these are: see LoginDesk.
    class Asker {
      public:
        [[nodiscard]] virtual std::optional<SecretText> begin(QuestionId id) = 0;
        virtual void answered(QuestionId id, const Reply& reply) = 0;
        virtual void turned_away(QuestionId id) = 0;

      protected:
        ~Asker() = default;
    };

    /// `trust`: whose certificates are believed; with TLS only. `asker` is told until stop().
    ServiceClient(boost::asio::io_context& loop,
                  ServiceOptions options,
                  std::unique_ptr<boost::asio::ssl::context> trust,
                  Asker& asker);
    ServiceClient(const ServiceClient&) = delete;
    ServiceClient& operator=(const ServiceClient&) = delete;
    ~ServiceClient();

    void ask(QuestionId id, std::uint64_t lane, std::size_t bytes) override;
    /// Closes everything; nobody is told any more.
    void stop();

  private:
    struct Job;
    struct Worker;
    struct Said;
    using JobPtr = std::shared_ptr<Job>;
    using WorkerPtr = std::shared_ptr<Worker>;
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;

    static Awaitable<void> serve(std::shared_ptr<ServiceClient> self, WorkerPtr worker);
    [[nodiscard]] JobPtr next_job();
    void turn_away_excess();
    void close(const JobPtr& job);
    void finish(const JobPtr& job, const Reply& reply);
    void watch_patience();

    Awaitable<Reply> ask_in_time(Worker& worker, const Job& job);
    Awaitable<Reply> exchange(Worker& worker, const Job& job);
    /// Empty: the worker has a connection.
    Awaitable<std::string> open(Worker& worker);
    template <class Stream>
    Awaitable<Said> converse(Stream& stream, const Job& job);
    Awaitable<Said> converse_on(Worker& worker, const Job& job);

    boost::asio::io_context& loop_;
    const ServiceOptions options_;
    const std::string host_field_;
    std::unique_ptr<boost::asio::ssl::context> trust_;
    Asker* asker_;             // null: stopped
    FairQueue<JobPtr> queue_;  // not begun
    std::deque<JobPtr> open_;  // in the order in which patience ends
    std::vector<WorkerPtr> workers_;
    std::vector<WorkerPtr> idle_;  // the one that worked last is asked first
    boost::asio::steady_timer patience_;
    bool is_watching_ = false;
};

}  // namespace stentor::auth
