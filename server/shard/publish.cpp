// Messages of somebody without a connection: routed like a client's, answered to a PublishSink.
#include "server/shard/shard.hpp"

#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

void Shard::publish_asked(const PublishJobPtr& job, std::size_t at, Instant now) {
    const MessagePtr& message = job->messages()[at];
    ++counters_.messages_received[static_cast<std::size_t>(message->qos())];
    counters_.publish_bytes_received += message->topic().size() + message->payload().size();
    Routed routed{.reason = ReasonCode::server_unavailable};
    if (!draining_ && options_.takes_messages) {
        routed = route(message, {.behind_logged = job->is_logging()}, AnswerPublish{job, at}, now);
        if (routed.outcome == mqtt::Ingress::refused) {
            refuse_message(routed.reason, message->publisher());
        }
    }
    PublishOutcome& outcome = job->outcome(at);
    outcome.reason = routed.reason;
    outcome.live = routed.live;
    outcome.durable = routed.durable;
    if (routed.outcome == mqtt::Ingress::pending) {
        job->began_logging();
        return;
    }
    if (routed.outcome == mqtt::Ingress::released) release(message, routed.destinations, now);
    published_.push_back(job);
}

/// What is in the mailboxes of others, or nobody's: whoever is told publishes next behind it.
void Shard::answer_published() {
    if (outgoing_blocked_) return;
    for (const PublishJobPtr& job : published_) job->settle();
    published_.clear();
}

}  // namespace stentor::server
