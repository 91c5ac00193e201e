#include "server/app/store_command.hpp"

#include "base/log.hpp"
#include "persistence/sqlite/inspect/backup.hpp"
#include "persistence/sqlite/inspect/check.hpp"
#include "persistence/sqlite/inspect/dump.hpp"
#include "persistence/sqlite/inspect/stats.hpp"
#include "protocol/topic/validate.hpp"
#include "server/app/exit_code.hpp"

#include <iostream>
#include <string_view>

namespace stentor::app {
namespace {

int complain(int code, std::string_view what, std::string_view hint = "") {
    std::cerr << "stentor store: " << what << '\n';
    if (!hint.empty()) std::cerr << "  " << hint << '\n';
    return code;
}

int failed(const store::Trouble& trouble) {
    return complain(kExitFailed, trouble.what, trouble.hint);
}

/// The output may be a pipe whose reader has gone.
int done(int code) {
    std::cout.flush();
    return std::cout ? code : complain(kExitFailed, "the output could not be written");
}

store::Fields summary(const store::CheckReport& report) {
    store::Fields fields;
    fields.add("problems", report.findings.size() + report.more)
        .add("segments", report.segments)
        .add("segments_missing", report.segments_missing)
        .add("rows", report.rows)
        .add("records", report.records)
        .add("log_last", report.last.value())
        .add("applied_through", report.applied_through.value())
        .add("sessions", report.sessions)
        .add("sessions_compared", report.sessions_replayed)
        .add("retained", report.retained)
        .add("retained_compared", report.retained_replayed);
    return fields;
}

int run_check(const StoreArguments& arguments) {
    const auto report = store::check_store(arguments.directory);
    if (!report) return failed(report.error());
    std::vector<store::Fields> findings;
    for (const store::Finding& finding : report->findings) findings.push_back(finding.fields());
    store::Fields all = summary(*report);
    if (arguments.json) {
        std::cout << all.add("findings", findings).json() << '\n';
    } else {
        for (const store::Finding& finding : report->findings) {
            std::cout << "problem: " << finding.file;
            if (finding.row != kNoSeq) std::cout << ", row " << finding.row.value();
            if (finding.position != kNoSeq) std::cout << ", position " << finding.position.value();
            std::cout << ": " << finding.what << "\n     = " << finding.hint << '\n';
        }
        if (report->more != 0) std::cout << "and " << report->more << " more\n";
        std::cout << all.block();
    }
    return done(report->findings.empty() ? kExitOk : kExitFailed);
}

int run_backup(const StoreArguments& arguments) {
    const auto report = store::back_up(arguments.directory, arguments.destination);
    if (!report) return failed(report.error());
    store::Fields fields;
    fields.add("destination", arguments.destination)
        .add("segments", report->segments)
        .add("bytes", report->bytes)
        .add("applied_through", report->applied_through.value());
    std::cout << (arguments.json ? fields.json() + '\n' : fields.block());
    return done(kExitOk);
}

int run_stats(const StoreArguments& arguments) {
    const auto stats = store::store_stats(arguments.directory);
    if (!stats) return failed(stats.error());
    std::cout << (arguments.json ? stats->json() + '\n' : stats->block());
    return done(kExitOk);
}

int run_dump(const StoreArguments& arguments) {
    store::DumpFilter filter;
    filter.from = Seq{arguments.from};
    if (arguments.to) filter.to = Seq{*arguments.to};
    filter.topic = arguments.topic;
    filter.client = arguments.client;
    filter.payload_bytes_max = arguments.payload_bytes_max;
    if (!filter.topic.empty() && mqtt::check_topic_filter(filter.topic) != mqtt::TopicCheck::ok) {
        return complain(kExitUsage, "not a topic filter: " + filter.topic);
    }
    const auto print = [&](const store::Fields& record) {
        std::cout << (arguments.json ? record.json() : record.text()) << '\n';
        return std::cout.good();
    };
    const auto skipped =
        store::dump_log(arguments.directory, filter, print, [](const std::string& what) {
            complain(kExitFailed, what);
        });
    if (!skipped) return failed(skipped.error());
    return done(*skipped == 0 ? kExitOk : kExitFailed);
}

}  // namespace

int run_store(const StoreArguments& arguments) {
    log_start({.level = LogLevel::error, .format = LogFormat::text});
    switch (arguments.action) {
        case StoreArguments::Action::check:
            return run_check(arguments);
        case StoreArguments::Action::backup:
            return run_backup(arguments);
        case StoreArguments::Action::stats:
            return run_stats(arguments);
        case StoreArguments::Action::dump:
            break;
    }
    return run_dump(arguments);
}

}  // namespace stentor::app
