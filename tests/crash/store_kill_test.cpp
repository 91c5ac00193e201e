// kill -9 at any moment of a store under load, again and again on the same directory: everything
// the child said was acknowledged is there, and it goes on from there.

#include "base/random.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "tests/kit/process.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

/// Positions and payloads, as the child's lines say.
std::map<Seq, std::string> acknowledged(const std::string& output) {
    std::map<Seq, std::string> found;
    std::istringstream lines{output.substr(0, output.rfind('\n') + 1)};
    std::string word;
    std::string payload;
    std::uint64_t seq = 0;
    while (lines >> word >> payload >> seq) found.emplace(Seq{seq}, payload);
    return found;
}

/// Opens the store, checks it against the ledger and closes it.
void check(const std::string& directory,
           AcknowledgeAfter after,
           const std::map<Seq, std::string>& ledger) {
    SqliteEngineOptions options;
    options.directory = directory;
    options.acknowledge_after = after;
    SqliteEngine engine{options};
    auto recovered = engine.recover();
    ASSERT_TRUE(recovered.has_value()) << recovered.error().message();
    RecordingSink sink{recovered->last};
    engine.start(sink);
    const auto& [last, payload] = *ledger.rbegin();
    EXPECT_GE(recovered->last, last);
    const std::string latest{as_text(recovered->state.retained().at("latest").message->payload())};
    EXPECT_GE(std::stoull(latest), std::stoull(payload));

    // What the child may have let go lies far below; one message is pinned by the session.
    constexpr std::uint64_t kKept = 250;
    ReadRequest request;
    for (const auto& [seq, expected] : ledger) {
        if (seq.value() + kKept > last.value()) request.only.push_back(seq);
    }
    const std::vector<Unfinished> unfinished = recovered->state.sessions().at("c").unfinished;
    if (unfinished.size() == 1 && unfinished[0].seq > last) {
        request.only.push_back(unfinished[0].seq);
    }
    EXPECT_EQ(unfinished.size(), 1U);
    request.messages_max = 1000;
    // A page ends early when much had to be opened for it.
    while (!request.only.empty()) {
        ++request.cookie;
        ReadRequest sent = request;
        ASSERT_EQ(engine.read(sent), Push::ok);
        ASSERT_TRUE(sink.wait([&] { return sink.page(request.cookie).has_value(); },
                              std::chrono::seconds{60}));
        const Page page = sink.page(request.cookie).value_or(Page{});
        ASSERT_TRUE(page.result.has_value());
        const auto rest =
            std::upper_bound(request.only.begin(), request.only.end(), page.complete_through);
        const auto count = static_cast<std::size_t>(rest - request.only.begin());
        ASSERT_GT(count, 0U);
        EXPECT_EQ(page.entries.size(), count);
        for (const PageEntry& entry : page.entries) {
            const auto expected = ledger.find(entry.seq);
            if (expected == ledger.end()) continue;
            EXPECT_EQ(as_text(entry.message->payload()), expected->second);
        }
        request.only.erase(request.only.begin(), rest);
    }
    engine.drain_and_close();
}

class StoreKill : public testing::TestWithParam<AcknowledgeAfter> {};

TEST_P(StoreKill, WhatWasAcknowledgedIsThere) {
    const kit::TempDir directory;
    const std::string mode = GetParam() == AcknowledgeAfter::disk ? "disk" : "os";
    Random random{7};
    for (std::uint64_t round = 1; round <= 15; ++round) {
        SCOPED_TRACE(testing::Message() << "round " << round);
        kit::Process child{
            {STENTOR_STORE_CHILD, directory.file("store"), mode, std::to_string(round)}};
        for (std::uint64_t lines = random.between(1, 200); lines != 0; --lines) {
            (void)child.wait_for_line(kit::Stream::out, "acked");
        }
        ASSERT_EQ(::kill(child.pid(), SIGKILL), 0);
        ASSERT_EQ(child.wait(), (kit::ExitStatus{.code = -1, .signal = SIGKILL}));
        const auto ledger = acknowledged(child.output(kit::Stream::out));
        // Every other time the next child finds the store as this one left it.
        if (round % 2 == 0) {
            ASSERT_NO_FATAL_FAILURE(check(directory.file("store"), GetParam(), ledger));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Mode,
                         StoreKill,
                         testing::Values(AcknowledgeAfter::disk, AcknowledgeAfter::os),
                         [](const auto& mode) {
                             return mode.param == AcknowledgeAfter::disk ? "disk" : "os";
                         });

}  // namespace
}  // namespace stentor::store
