#include "auth/http/client/service_client.hpp"

#include "base/asio/tcp_connect.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <variant>

namespace stentor::auth {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using TlsStream = ssl::stream<tcp::socket>;
using Connection = std::variant<tcp::socket, TlsStream>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kReplyHeadBytesMax = 8U << 10U;
constexpr Duration kIdleMax = std::chrono::seconds{30};  // less than services keep one, mostly

bool is_address(const std::string& host) {
    error_code error;
    asio::ip::make_address(host, error);
    return !error;
}

std::string host_field(const ServiceOptions& options) {
    std::string field = options.host;
    if (field.find(':') != std::string::npos) field = '[' + field + ']';
    const std::uint16_t usual = options.uses_tls ? 443 : 80;
    return options.port == usual ? field : field + ':' + std::to_string(options.port);
}

/// SNI, and that the certificate has to be for this host.
[[nodiscard]] bool expect_host(SSL& ssl, const std::string& host) {
    if (is_address(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(&ssl), host.c_str()) == 1;
    }
    // SSL_set_tlsext_host_name() with its C-style cast written out; it copies the name.
    std::string name = host;
    SSL_ctrl(&ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    return SSL_set1_host(&ssl, name.c_str()) == 1;
}

std::string tls_failure(SSL& ssl, const error_code& error) {
    const long verified = SSL_get_verify_result(&ssl);
    if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        return "its certificate is not for the host of auth.http.url";
    }
    if (verified != X509_V_OK) {
        return std::string{"its certificate is not trusted (auth.http.ca_file): "} +
               X509_verify_cert_error_string(verified);
    }
    return "TLS failed: " + error.message();
}

std::string read_failure(const error_code& error) {
    if (error == http::error::body_limit) return "its answer has more than 64 KiB";
    if (error == http::error::header_limit) return "the head of its answer has more than 8 KiB";
    if (error == http::error::end_of_stream || error == asio::error::eof ||
        error == ssl::error::stream_truncated) {
        return "it closed the connection without an answer";
    }
    if (error.category() == make_error_code(http::error::end_of_stream).category()) {
        return "it does not answer in HTTP: " + error.message();
    }
    return "no answer: " + error.message();
}

}  // namespace

struct ServiceClient::Job {
    QuestionId id;
    Instant deadline;
    std::optional<SecretText> question = {};  // once it has begun
    bool is_done = false;
};

struct ServiceClient::Worker {
    explicit Worker(asio::io_context& loop) : wake{loop}, patience{loop} {}

    asio::steady_timer wake;      // somebody has a question
    asio::steady_timer patience;  // with the one that is being asked
    std::unique_ptr<Connection> connection;
};

/// What came of one question on one connection.
struct ServiceClient::Said {
    Reply reply;
    bool was_stale = false;  // the service closed the connection before it said anything
    bool may_go_on = false;  // the connection is good for another question
};

ServiceClient::ServiceClient(asio::io_context& loop,
                             ServiceOptions options,
                             std::unique_ptr<ssl::context> trust,
                             Asker& asker)
    : loop_{loop},
      options_{std::move(options)},
      host_field_{host_field(options_)},
      trust_{std::move(trust)},
      asker_{&asker},
      patience_{loop} {}

ServiceClient::~ServiceClient() = default;

void ServiceClient::ask(QuestionId id, std::uint64_t lane, std::size_t bytes) {
    auto job = std::make_shared<Job>(Job{id, monotonic_now() + options_.timeout});
    queue_.push(lane, job, bytes);
    open_.push_back(std::move(job));
    watch_patience();
    turn_away_excess();
    if (!idle_.empty()) {
        const WorkerPtr worker = std::move(idle_.back());
        idle_.pop_back();
        worker->wake.cancel();
    } else if (workers_.size() < options_.connections_max) {
        workers_.push_back(std::make_shared<Worker>(loop_));
        asio::co_spawn(
            loop_, serve(shared_from_this(), workers_.back()), [](const std::exception_ptr& error) {
                if (error) std::rethrow_exception(error);  // memory is exhausted
            });
    }
}

void ServiceClient::stop() {
    asker_ = nullptr;
    queue_.clear();
    open_.clear();
    patience_.cancel();
    for (const WorkerPtr& worker : workers_) {
        worker->wake.cancel();
        worker->patience.cancel();
    }
}

/// A worker's life: asks what there is to ask, then waits for more; not for ever.
asio::awaitable<void> ServiceClient::serve(std::shared_ptr<ServiceClient> self, WorkerPtr worker) {
    while (self->asker_ != nullptr) {
        if (const JobPtr job = self->next_job()) {
            const Reply reply = co_await self->ask_in_time(*worker, *job);
            job->question.reset();
            self->finish(job, reply);
            continue;
        }
        self->idle_.push_back(worker);
        worker->wake.expires_after(kIdleMax);
        const auto [was_woken] = co_await worker->wake.async_wait(kTuple);
        std::erase(self->idle_, worker);
        if (!was_woken && self->queue_.empty()) break;
    }
    std::erase(self->workers_, worker);
}

ServiceClient::JobPtr ServiceClient::next_job() {
    while (!queue_.empty()) {
        JobPtr job = queue_.take_next();
        if (job->is_done) continue;  // its patience has ended
        if (auto question = asker_->begin(job->id)) {
            job->question.emplace(*std::move(question));
            return job;
        }
        close(job);
    }
    return nullptr;
}

/// Those whose patience has ended hold places until their turn comes: their lane's last ones go.
void ServiceClient::turn_away_excess() {
    while (queue_.size() > options_.queue_questions_max ||
           queue_.bytes() > options_.queue_bytes_max) {
        const JobPtr job = queue_.size() > options_.queue_questions_max
                               ? queue_.take_last_of_longest()
                               : queue_.take_last_of_heaviest();
        if (job->is_done) continue;
        close(job);
        asker_->turned_away(job->id);
    }
}

void ServiceClient::close(const JobPtr& job) {
    job->is_done = true;
    while (!open_.empty() && open_.front()->is_done) open_.pop_front();
}

void ServiceClient::finish(const JobPtr& job, const Reply& reply) {
    if (job->is_done || asker_ == nullptr) return;
    close(job);
    asker_->answered(job->id, reply);
}

/// Looking up a name cannot be cut short: whoever waits is answered in time all the same.
void ServiceClient::watch_patience() {
    if (std::exchange(is_watching_, true)) return;
    patience_.expires_after(open_.front()->deadline - monotonic_now());
    patience_.async_wait([self = shared_from_this()](error_code /*cancelled*/) {
        self->is_watching_ = false;
        const Instant now = monotonic_now();
        while (!self->open_.empty() && self->open_.front()->deadline <= now) {
            const JobPtr late = self->open_.front();
            self->open_.pop_front();
            self->finish(late, HttpFailure{"it has not answered in time (auth.http.timeout)"});
        }
        if (!self->open_.empty()) self->watch_patience();
    });
}

asio::awaitable<ServiceClient::Reply> ServiceClient::ask_in_time(Worker& worker, const Job& job) {
    using namespace asio::experimental::awaitable_operators;
    worker.patience.expires_after(job.deadline - monotonic_now());
    auto first = co_await (exchange(worker, job) || worker.patience.async_wait(kTuple));
    if (first.index() == 0) co_return std::get<0>(std::move(first));
    worker.connection.reset();
    co_return HttpFailure{"it has not answered in time (auth.http.timeout)"};
}

asio::awaitable<ServiceClient::Reply> ServiceClient::exchange(Worker& worker, const Job& job) {
    if (worker.connection) {
        auto said = co_await converse_on(worker, job);
        if (!said.was_stale) co_return std::move(said.reply);
    }
    auto failure = co_await open(worker);
    if (!failure.empty()) co_return HttpFailure{std::move(failure)};
    auto said = co_await converse_on(worker, job);
    co_return std::move(said.reply);
}

asio::awaitable<std::string> ServiceClient::open(Worker& worker) {
    tcp::resolver resolver{loop_};
    const auto [unknown, found] = co_await resolver.async_resolve(
        options_.host, std::to_string(options_.port), tcp::resolver::numeric_service, kTuple);
    if (unknown) co_return "its name cannot be looked up: " + unknown.message();
    std::vector<tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    auto socket = co_await connect_to_first(std::move(endpoints), {});
    if (!socket) co_return "cannot connect: " + socket.error().message();
    if (!options_.uses_tls) {
        worker.connection = std::make_unique<Connection>(*std::move(socket));
        co_return std::string{};
    }
    auto connection =
        std::make_unique<Connection>(std::in_place_type<TlsStream>, *std::move(socket), *trust_);
    auto& stream = std::get<TlsStream>(*connection);
    if (!expect_host(*stream.native_handle(), options_.host)) {
        co_return "no certificate can be for such a host: " + options_.host;
    }
    const auto [failed] = co_await stream.async_handshake(TlsStream::client, kTuple);
    if (failed) co_return tls_failure(*stream.native_handle(), failed);
    worker.connection = std::move(connection);
    co_return std::string{};
}

/// The worker has a connection; afterwards only if it is good for more.
asio::awaitable<ServiceClient::Said> ServiceClient::converse_on(Worker& worker, const Job& job) {
    Said said;
    if (auto* plain = std::get_if<tcp::socket>(worker.connection.get())) {
        said = co_await converse(*plain, job);
    } else {
        said = co_await converse(std::get<TlsStream>(*worker.connection), job);
    }
    if (!said.may_go_on) worker.connection.reset();
    co_return said;
}

template <class Stream>
asio::awaitable<ServiceClient::Said> ServiceClient::converse(Stream& stream, const Job& job) {
    const std::string_view question = job.question->view();
    http::request<http::span_body<const char>> request{http::verb::post, options_.target, 11};
    request.set(http::field::host, host_field_);
    request.set(http::field::user_agent, "stentor");
    request.set(http::field::accept, "application/json");
    for (const ServiceHeader& header : options_.headers) request.set(header.name, header.value);
    request.set(http::field::content_type, "application/json");
    request.body() = {question.data(), question.size()};
    request.prepare_payload();

    Said said;
    const auto [unsent, sent] = co_await http::async_write(stream, request, kTuple);
    // A service that answers without having read the question closes while it is written.
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.header_limit(kReplyHeadBytesMax);
    parser.body_limit(kLoginAnswerBytesMax);
    const auto [unread, read] = co_await http::async_read(stream, buffer, parser, kTuple);
    if (unread) {
        said.reply = HttpFailure{read_failure(unread)};
        said.was_stale = !parser.got_some() && buffer.size() == 0;
        co_return said;
    }
    // Bytes behind the answer would be taken for the next one.
    said.may_go_on = !unsent && parser.keep_alive() && buffer.size() == 0;
    said.reply =
        HttpReply{.status = parser.get().result_int(), .body = std::move(parser.get().body())};
    co_return said;
}

}  // namespace stentor::auth
