#include "tests/scenario/paho/client.hpp"

#include "base/clock.hpp"
#include "tests/kit/process.hpp"

#include <chrono>
#include <stdexcept>

namespace stentor::scenario {
namespace {

constexpr int kUnansweredMax = 10'000;

void finish(const mqtt::token_ptr& token, const std::string& what) {
    if (!token->wait_for(kit::kPatience)) throw kit::Timeout{what + ": no answer"};
}

mqtt::ssl_options ssl_options(const ClientTls& tls) {
    mqtt::ssl_options ssl;
    ssl.set_trust_store(tls.authority);
    if (!tls.certificate.empty()) {
        ssl.set_key_store(tls.certificate);
        ssl.set_private_key(tls.key);
    }
    ssl.set_enable_server_cert_auth(true);
    ssl.set_verify(true);
    return ssl;
}

mqtt::connect_options connect_options(const ClientOptions& options, bool clean) {
    mqtt::connect_options connect;
    connect.set_mqtt_version(options.version);
    connect.set_keep_alive_interval(options.keep_alive_seconds);
    connect.set_connect_timeout(static_cast<int>(kit::kPatience.count()));
    connect.set_max_inflight(1000);
    if (options.version == MQTTVERSION_5) {
        connect.set_clean_start(clean);
        if (options.session_expiry_seconds != 0) {
            mqtt::properties properties;
            properties.add({mqtt::property::SESSION_EXPIRY_INTERVAL,
                            static_cast<std::int32_t>(options.session_expiry_seconds)});
            connect.set_properties(std::move(properties));
        }
    } else {
        connect.set_clean_session(clean);
    }
    if (options.will) {
        mqtt::will_options will{*options.will};
        if (options.will_delay_seconds != 0) {
            mqtt::properties properties;
            properties.add({mqtt::property::WILL_DELAY_INTERVAL,
                            static_cast<std::int32_t>(options.will_delay_seconds)});
            will.set_properties(std::move(properties));
        }
        connect.set_will(std::move(will));
    }
    if (options.tls) connect.set_ssl(ssl_options(*options.tls));
    return connect;
}

std::string url(std::uint16_t port, const ClientOptions& options) {
    // The names of certificates are names.
    const std::string where = "localhost:" + std::to_string(port);
    if (!options.tls) return "tcp://127.0.0.1:" + std::to_string(port);
    if (options.tls->web_path.empty()) return "ssl://" + where;
    return "wss://" + where + options.tls->web_path;
}

}  // namespace

// A topic that no wildcard matches.
constexpr const char* kWakeUpTopic = "$wake";

WakeUp::WakeUp(std::uint16_t port)
    : client_{"tcp://127.0.0.1:" + std::to_string(port),
              "wake-up",
              mqtt::create_options{MQTTVERSION_5}} {
    client_.set_message_callback([this](const mqtt::const_message_ptr& message) {
        const std::lock_guard lock{mutex_};
        received_ = std::stoi(message->get_payload_str());
        changed_.notify_all();
    });
    mqtt::connect_options options;
    options.set_mqtt_version(MQTTVERSION_5);
    options.set_clean_start(true);
    finish(client_.connect(options), "CONNECT");
    finish(client_.subscribe(kWakeUpTopic, 0), "SUBSCRIBE");
}

WakeUp::~WakeUp() { client_.disable_callbacks(); }

void WakeUp::wake() { client_.publish(kWakeUpTopic, std::to_string(++sent_)); }

void WakeUp::round_trip() {
    wake();
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, kit::kPatience, [this] { return received_ == sent_; })) {
        throw kit::Timeout{"the wake-up message did not return"};
    }
}

Client::Client(std::uint16_t port, ClientOptions options)
    : options_{std::move(options)},
      client_{url(port, options_),
              options_.id,
              mqtt::create_options{options_.version, kUnansweredMax}} {
    client_.set_message_callback([this](const mqtt::const_message_ptr& message) {
        const std::lock_guard lock{mutex_};
        messages_.push_back(message);
        changed_.notify_all();
    });
    client_.set_connection_lost_handler([this](const std::string&) {
        const std::lock_guard lock{mutex_};
        lost_ = true;
        changed_.notify_all();
    });
    client_.set_disconnected_handler([this](const mqtt::properties&, mqtt::ReasonCode reason) {
        const std::lock_guard lock{mutex_};
        reason_ = static_cast<int>(reason);
        lost_ = true;
        changed_.notify_all();
    });
}

Client::~Client() {
    try {
        if (client_.is_connected()) disconnect();
    } catch (const std::exception&) {
        // A test that has failed already; Paho's destructor closes the socket.
        client_.disable_callbacks();
    }
}

bool Client::connect(bool clean) {
    // Paho says that a connection is lost before it is done with it.
    options_.wake_up->round_trip();
    {
        const std::lock_guard lock{mutex_};
        lost_ = false;
        reason_ = -1;
    }
    const auto token = client_.connect(connect_options(options_, clean));
    const Instant limit = monotonic_now() + kit::kPatience;
    while (!token->wait_for(std::chrono::milliseconds{5})) {
        if (monotonic_now() > limit) throw kit::Timeout{options_.id + ": no CONNACK"};
        options_.wake_up->wake();
    }
    const auto response = token->get_connect_response();
    connack_ = response.get_properties();
    return response.is_session_present();
}

void Client::disconnect() { finish(client_.disconnect(), "DISCONNECT"); }

int Client::subscribe(const std::string& filter,
                      int qos,
                      const mqtt::subscribe_options& options,
                      const mqtt::properties& properties) {
    const auto token = client_.subscribe(filter, qos, options, properties);
    finish(token, "SUBSCRIBE " + filter);
    return static_cast<int>(token->get_subscribe_response().get_reason_codes().at(0));
}

void Client::unsubscribe(const std::string& filter) {
    finish(client_.unsubscribe(filter), "UNSUBSCRIBE " + filter);
}

void Client::publish(const mqtt::message& message) {
    finish(client_.publish(std::make_shared<mqtt::message>(message)),
           "PUBLISH " + message.get_topic());
}

void Client::publish(const std::string& topic, const std::string& payload, int qos, bool retain) {
    publish({topic, payload, qos, retain});
}

void Client::publish_unanswered(const std::string& topic, const std::string& payload, int qos) {
    unanswered_.push_back(client_.publish(mqtt::make_message(topic, payload, qos, false)));
}

void Client::wait_until_answered() {
    for (const auto& token : unanswered_) finish(token, "PUBLISH");
    unanswered_.clear();
}

mqtt::const_message_ptr Client::receive() {
    wait_for("a message", [this] { return !messages_.empty(); });
    const std::lock_guard lock{mutex_};
    auto message = std::move(messages_.front());
    messages_.pop_front();
    return message;
}

std::size_t Client::waiting() {
    const std::lock_guard lock{mutex_};
    return messages_.size();
}

std::vector<std::string> Client::receive(std::size_t count) {
    std::vector<std::string> texts;
    while (texts.size() < count) texts.push_back(text(receive()));
    return texts;
}

int Client::wait_until_lost() {
    wait_for("the end of the connection", [this] { return lost_; });
    const std::lock_guard lock{mutex_};
    return reason_;
}

void Client::wait_for(const char* what, const std::function<bool()>& condition) {
    std::unique_lock lock{mutex_};
    if (changed_.wait_for(lock, kit::kPatience, condition)) return;
    throw kit::Timeout{options_.id + " waits in vain for " + what};
}

std::string text(const mqtt::const_message_ptr& message) {
    return message->get_topic() + ' ' + message->get_payload_str();
}

}  // namespace stentor::scenario
