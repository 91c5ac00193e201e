// The node itself: how it fares, reload, backup; and the document that says what there is.
#include "base/clock.hpp"
#include "server/admin/api.hpp"
#include "server/admin/api_routes.hpp"
#include "server/admin/openapi.hpp"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::admin {

namespace json = boost::json;

namespace {

json::array texts(const std::vector<std::string>& from) {
    json::array to;
    for (const std::string& each : from) to.emplace_back(each);
    return to;
}

json::object to_json(const NodeFacts::Store& store) {
    json::object object{{"directory", nullptr},
                        {"acknowledge_after", store.acknowledge_after},
                        {"log_bytes", store.log_bytes},
                        {"log_bytes_max", store.log_bytes_max},
                        {"disk_free_bytes", nullptr},
                        {"commits", store.commits},
                        {"reopened", store.reopened}};
    if (!store.directory.empty()) {
        object["directory"] = store.directory;
        object["disk_free_bytes"] = store.disk_free_bytes;
    }
    return object;
}

json::object to_json(const NodeFacts& node) {
    json::array listeners;
    for (const NodeFacts::Listener& each : node.listeners) {
        listeners.push_back(json::object{{"url", each.url}, {"connections", each.connections}});
    }
    const TimeScale scale{.store_now = {}, .unix_ms_now = node.started_unix_ms};
    return {{"name", node.name},
            {"version", node.version},
            {"commit", node.commit},
            {"started_at", scale.text({})},
            {"uptime_seconds", node.uptime_seconds},
            {"shards", node.shards},
            {"shards_silent", node.shards_silent},
            {"listeners", std::move(listeners)},
            {"http_connections", node.http_connections},
            {"sessions",
             json::object{{"connected", node.sessions_connected}, {"away", node.sessions_away}}},
            {"subscriptions", node.subscriptions},
            {"shared_groups", node.shared_groups},
            {"retained_messages", node.retained_messages},
            {"inflight_messages", node.inflight_messages},
            {"store", to_json(node.store)}};
}

std::string where(const ReloadReport::Mistake& mistake) {
    if (mistake.line == 0) return mistake.source;
    return fmt::format("{}:{}:{}", mistake.source, mistake.line, mistake.column);
}

Reply refused(const ReloadReport& report) {
    json::array mistakes;
    for (const ReloadReport::Mistake& each : report.mistakes) {
        mistakes.push_back(json::object{{"source", each.source},
                                        {"line", each.line},
                                        {"column", each.column},
                                        {"error", each.what},
                                        {"hint", each.hint}});
    }
    const ReloadReport::Mistake& first = report.mistakes.front();
    json::object object = to_json(Mistake{.status = Status::unprocessable_entity,
                                          .code = "reload_refused",
                                          .error = where(first) + ": " + first.what,
                                          .hint = first.hint});
    object["mistakes"] = std::move(mistakes);
    return {.status = Status::unprocessable_entity, .body = json::serialize(object) + '\n'};
}

constexpr std::array<std::string_view, 1> kBackupQuery{"name"};
constexpr std::size_t kNameBytesMax = 100;

/// One that is a directory's and nothing else: no path, nothing hidden.
bool is_backup_name(std::string_view name) {
    const auto may_stand = [](char each) {
        return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
               (each >= '0' && each <= '9') || each == '-' || each == '_' || each == '.';
    };
    return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' &&
           !name.ends_with(".partial") && std::ranges::all_of(name, may_stand);
}

/// "2026-11-23T18-00-00Z".
std::string backup_name(std::int64_t unix_ms) {
    std::string name = TimeScale{.store_now = {}, .unix_ms_now = unix_ms}.text({});
    std::ranges::replace(name, ':', '-');
    return name;
}

Reply to_reply(const BackupReport& report) {
    using Outcome = BackupReport::Outcome;
    switch (report.outcome) {
        case Outcome::done:
            return {.status = Status::created,
                    .body = json::serialize(json::object{{"directory", report.directory},
                                                         {"segments", report.segments},
                                                         {"bytes", report.bytes}}) +
                            '\n'};
        case Outcome::off:
            return error_reply(Status::conflict,
                               "backup_off",
                               "backups over HTTP are off",
                               "http.backup_dir names the directory for them; on the broker's "
                               "machine: stentor store backup");
        case Outcome::in_memory:
            return error_reply(Status::conflict,
                               "backup_in_memory",
                               "the store is in memory: there is nothing to copy",
                               "node.data_dir names a directory for it");
        case Outcome::exists:
            return error_reply(Status::conflict,
                               "backup_exists",
                               "there is something of that name already",
                               "name another one, or leave the name out");
        case Outcome::under_way:
            return error_reply(Status::conflict,
                               "backup_under_way",
                               "another backup is being made",
                               "ask again when it is done");
        case Outcome::failed:
            break;
    }
    return error_reply(Status::internal_server_error, "backup_failed", report.why);
}

}  // namespace

Api::Answer Api::node(Call& /*call*/) {
    const NodeFacts facts = co_await parts_.node();
    json::object object = to_json(facts);
    const bool is_ready = parts_.readiness->load() == Readiness::ready;
    object["ready"] = is_ready;
    object["why"] = is_ready ? json::value(nullptr) : json::value(why_not_ready());
    co_return Reply{.body = json::serialize(object) + '\n'};
}

Api::Answer Api::reload(Call& /*call*/) {
    const ReloadReport report = co_await parts_.reload();
    if (report.outcome == ReloadReport::Outcome::stopping) co_return not_ready();
    if (report.outcome == ReloadReport::Outcome::refused) co_return refused(report);
    const json::object object{{"applied", true},
                              {"changed", texts(report.changed)},
                              {"restart_needed", texts(report.restart_needed)}};
    co_return Reply{.body = json::serialize(object) + '\n'};
}

Api::Answer Api::back_up(Call& call) {
    const auto target = call.request->target();
    const auto query = Query::of({target.data(), target.size()}, kBackupQuery);
    if (!query) co_return error_reply(query.error());
    std::string name = query->text("name").value_or(backup_name(wall_clock_unix_ms()));
    if (!is_backup_name(name)) {
        co_return error_reply(Status::bad_request,
                              "bad_name",
                              "name is no name of a backup",
                              "1 to 100 letters, digits, '-', '_' and '.', not '.' at its "
                              "beginning, not .partial at its end");
    }
    const BackupReport report = co_await parts_.back_up(std::move(name));
    co_return to_reply(report);
}

Api::Answer Api::openapi(Call& /*call*/) {
    if (openapi_.empty()) {
        openapi_ = json::serialize(openapi_document(routes(), parts_.version)) + '\n';
    }
    co_return Reply{.body = openapi_};
}

}  // namespace stentor::admin
