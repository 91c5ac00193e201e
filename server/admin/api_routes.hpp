#pragma once
// Every route of the API, as it is dispatched and documented; api.cpp ties each to what answers it.
// Constants.

#include "server/admin/route.hpp"

#include <array>

namespace stentor::admin {

using boost::beast::http::verb;

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kBytes = "application/octet-stream";

inline constexpr Parameter kLimit{
    .name = "limit",
    .type = ParameterType::number,
    .description = "Items of a page, 1 to 1000; 100 if it is left out. A page may have fewer."};
inline constexpr Parameter kAfter{.name = "after",
                                  .description = "`next` of the page before, to go on behind it."};
inline constexpr Parameter kIdInPath{
    .name = "id",
    .in = ParameterIn::path,
    .description = "Client identifier, percent-encoded ('/' is %2F)."};
inline constexpr Parameter kTopicInPath{
    .name = "topic",
    .in = ParameterIn::path,
    .description = "Topic name, percent-encoded; '/' may stay as it is."};
inline constexpr Parameter kFilterOfTopics{
    .name = "filter",
    .description = "Topic filter that topics have to match; # if it is left out. '#' is %23."};

inline constexpr RouteInfo kLivez{.method = verb::get,
                                  .path = "/livez",
                                  .permission = Permission::anybody,
                                  .summary = "Whether the process answers",
                                  .answer = {kJson, "Status"}};
inline constexpr RouteInfo kReadyz{.method = verb::get,
                                   .path = "/readyz",
                                   .permission = Permission::anybody,
                                   .summary = "Whether clients are served",
                                   .answer = {kJson, "Status"}};
inline constexpr RouteInfo kMetrics{.method = verb::get,
                                    .path = "/metrics",
                                    .permission = Permission::figures,
                                    .summary = "Figures in Prometheus' text format",
                                    .answer = {"text/plain"}};
inline constexpr RouteInfo kOpenapi{.method = verb::get,
                                    .path = "/openapi.json",
                                    .permission = Permission::anybody,
                                    .summary = "This document",
                                    .answer = {kJson, "Document"}};

inline constexpr RouteInfo kPublish{.method = verb::post,
                                    .path = "/v1/publish",
                                    .permission = Permission::admitted,
                                    .summary = "Publish one message, or an array of them",
                                    .body = {kJson, "PublishRequest"},
                                    .status = 202,
                                    .answer = {kJson, "PublishAnswer"},
                                    .other_statuses = "207 400 413 429 507"};
inline constexpr std::array<Parameter, 4> kPublishParameters{
    {kTopicInPath,
     {.name = "QoS",
      .in = ParameterIn::header,
      .type = ParameterType::number,
      .description = "0, 1 (default) or 2: the most a subscriber gets it with."},
     {.name = "Retain",
      .in = ParameterIn::header,
      .type = ParameterType::flag,
      .description = "Whether it becomes the topic's retained value."},
     {.name = "TTL",
      .in = ParameterIn::header,
      .type = ParameterType::number,
      .description = "Seconds after which it is not delivered any more."}}};
inline constexpr RouteInfo kPublishTopic{.method = verb::post,
                                         .path = "/v1/publish/{topic...}",
                                         .permission = Permission::admitted,
                                         .summary = "Publish the body",
                                         .parameters = kPublishParameters,
                                         .body = {kBytes},
                                         .status = 202,
                                         .answer = {kJson, "Published"},
                                         .other_statuses = "400 413 429 507"};

inline constexpr std::array<Parameter, 5> kClientsParameters{
    {{.name = "connected",
      .type = ParameterType::flag,
      .description = "Only those that are, or are not, connected."},
     {.name = "prefix", .description = "Only client identifiers that begin with this."},
     {.name = "username", .description = "Only this user's clients; empty: those without a name."},
     kLimit,
     kAfter}};
inline constexpr RouteInfo kClients{.method = verb::get,
                                    .path = "/v1/clients",
                                    .summary = "Clients, connected or with a session that is kept",
                                    .parameters = kClientsParameters,
                                    .answer = {kJson, "ClientPage"},
                                    .other_statuses = "400 410"};
inline constexpr std::array<Parameter, 1> kClientParameters{{kIdInPath}};
inline constexpr RouteInfo kClient{.method = verb::get,
                                   .path = "/v1/clients/{id}",
                                   .summary = "Everything known about a client",
                                   .parameters = kClientParameters,
                                   .answer = {kJson, "Client"},
                                   .other_statuses = "400 404"};
inline constexpr std::array<Parameter, 2> kKickParameters{
    {kIdInPath,
     {.name = "session",
      .type = ParameterType::flag,
      .description = "Whether its session ends as well, with all that waits for it."}}};
inline constexpr RouteInfo kKick{.method = verb::delete_,
                                 .path = "/v1/clients/{id}",
                                 .summary = "End a client's connection",
                                 .parameters = kKickParameters,
                                 .status = 204,
                                 .other_statuses = "400 404"};
inline constexpr std::array<Parameter, 3> kClientSubscriptionsParameters{
    {kIdInPath, kLimit, kAfter}};
inline constexpr RouteInfo kClientSubscriptions{.method = verb::get,
                                                .path = "/v1/clients/{id}/subscriptions",
                                                .summary = "What a client subscribes to",
                                                .parameters = kClientSubscriptionsParameters,
                                                .answer = {kJson, "SubscriptionPage"},
                                                .other_statuses = "400 404 410"};

inline constexpr std::array<Parameter, 4> kSubscriptionsParameters{
    {{.name = "filter",
      .description = "Only this filter, as the client wrote it ($share/... included)."},
     {.name = "topic", .description = "Only those whose filter matches this topic name."},
     kLimit,
     kAfter}};
inline constexpr RouteInfo kSubscriptions{.method = verb::get,
                                          .path = "/v1/subscriptions",
                                          .summary = "Subscriptions of all sessions",
                                          .parameters = kSubscriptionsParameters,
                                          .answer = {kJson, "SubscriptionPage"},
                                          .other_statuses = "400 410"};

inline constexpr std::array<Parameter, 3> kRetainedParameters{{kFilterOfTopics, kLimit, kAfter}};
inline constexpr RouteInfo kRetained{.method = verb::get,
                                     .path = "/v1/retained",
                                     .summary = "Retained messages, in the order of their topics",
                                     .parameters = kRetainedParameters,
                                     .answer = {kJson, "RetainedPage"},
                                     .other_statuses = "400 410"};
inline constexpr std::array<Parameter, 1> kClearParameters{{kTopicInPath}};
inline constexpr RouteInfo kClearRetained{.method = verb::delete_,
                                          .path = "/v1/retained/{topic...}",
                                          .summary = "Clear a topic's retained message",
                                          .parameters = kClearParameters,
                                          .status = 204,
                                          .other_statuses = "400 404"};
inline constexpr RouteInfo kTopics{.method = verb::get,
                                   .path = "/v1/topics",
                                   .summary = "Topics that have a retained message",
                                   .parameters = kRetainedParameters,
                                   .answer = {kJson, "TopicPage"},
                                   .other_statuses = "400 410"};

inline constexpr RouteInfo kNode{.method = verb::get,
                                 .path = "/v1/node",
                                 .summary = "How the broker fares",
                                 .answer = {kJson, "Node"}};
inline constexpr RouteInfo kReload{.method = verb::post,
                                   .path = "/v1/node/reload",
                                   .summary =
                                       "Read configuration, users, rules and certificates "
                                       "again, as SIGHUP does",
                                   .answer = {kJson, "Reload"},
                                   .other_statuses = "422"};
inline constexpr std::array<Parameter, 1> kBackupParameters{
    {{.name = "name",
      .description = "The backup's directory below http.backup_dir: letters, digits, '-', '_' "
                     "and '.'; the time if it is left out."}}};
inline constexpr RouteInfo kBackup{.method = verb::post,
                                   .path = "/v1/node/backup",
                                   .summary = "Make a backup of the store",
                                   .parameters = kBackupParameters,
                                   .status = 201,
                                   .answer = {kJson, "Backup"},
                                   .other_statuses = "400 409 500"};

}  // namespace stentor::admin
