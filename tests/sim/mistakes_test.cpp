// A simulation that finds nothing proves nothing: mistakes planted at the broker's seams are found
// within the seeds of every change. docs/testing.md lists those that were planted by hand.

#include "tests/sim/run_seeds.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>
#include <string>

namespace stentor::sim {
namespace {

struct Mistake {
    Mutation mutation;
    const char* name;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class SimMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(SimMistakes, IsFound) {
    const Outcome outcome =
        run_seeds({.count = 400, .mutation = GetParam().mutation, .failures_max = 1});
    ASSERT_FALSE(outcome.failures.empty());
    std::printf("seed %llu: %s\n",
                static_cast<unsigned long long>(outcome.failures.front().seed),
                outcome.failures.front().complaint.c_str());
}

INSTANTIATE_TEST_SUITE_P(
    Seams,
    SimMistakes,
    testing::Values(Mistake{Mutation::ticket_before_group, "TicketBeforeGroup"},
                    Mistake{Mutation::two_mailboxes, "TwoMailboxes"},
                    Mistake{Mutation::page_claims_too_much, "PageClaimsTooMuch"},
                    Mistake{Mutation::trims_too_much, "TrimsTooMuch"},
                    Mistake{Mutation::forgets_commits, "ForgetsCommits"},
                    Mistake{Mutation::looks_at_old_interest, "LooksAtOldInterest"},
                    Mistake{Mutation::posts_after_commits, "PostsAfterCommits"}),
    [](const auto& test) { return std::string{test.param.name}; });

}  // namespace
}  // namespace stentor::sim
