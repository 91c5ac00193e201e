#include "base/intrusive.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace stentor {
namespace {

struct Plain : Counted<Plain> {
    Plain(int number, int& counter) : value{number}, deleted{counter} {}
    ~Plain() { ++deleted; }
    int value;
    int& deleted;
};

class SelfMade : public Counted<SelfMade> {
  public:
    static void destroy(SelfMade* object) noexcept {
        ++destroyed;
        delete object;
    }
    static inline int destroyed = 0;
};

TEST(Intrusive, TheLastOwnerDeletes) {
    int deleted = 0;
    auto first = make_intrusive<Plain>(7, deleted);
    auto second = first;
    EXPECT_EQ(first->use_count(), 2U);
    EXPECT_EQ(first, second);
    first.reset();
    EXPECT_EQ(deleted, 0);
    EXPECT_EQ(second->value, 7);
    second = nullptr;
    EXPECT_EQ(deleted, 1);
    EXPECT_EQ(second, nullptr);
    EXPECT_FALSE(second);
}

TEST(Intrusive, MovingLeavesTheCountAlone) {
    int deleted = 0;
    auto first = make_intrusive<Plain>(7, deleted);
    auto second = std::move(first);
    EXPECT_EQ(second->use_count(), 1U);
    const IntrusivePtr<const Plain> constant = std::move(second);
    EXPECT_EQ(constant->use_count(), 1U);
}

TEST(Intrusive, ManyReferencesAreTakenAtOnce) {
    int deleted = 0;
    auto owner = make_intrusive<Plain>(7, deleted);
    owner->add_ref_many(3);
    std::vector<IntrusivePtr<Plain>> others;
    others.reserve(3);
    for (int i = 0; i < 3; ++i) others.push_back(IntrusivePtr<Plain>::adopt(owner.get()));
    EXPECT_EQ(owner->use_count(), 4U);
    others.clear();
    EXPECT_EQ(owner->use_count(), 1U);
    auto shared = IntrusivePtr<Plain>::share(owner.get());
    owner->add_ref();
    owner->release();
    EXPECT_EQ(shared->use_count(), 2U);
}

TEST(Intrusive, ObjectsMayDestroyThemselves) {
    SelfMade::destroyed = 0;  // --gtest_repeat
    { const auto owner = make_intrusive<SelfMade>(); }
    EXPECT_EQ(SelfMade::destroyed, 1);
}

TEST(Intrusive, AssigningAPointerToItselfKeepsTheObject) {
    int deleted = 0;
    auto owner = make_intrusive<Plain>(7, deleted);
    const auto& alias = owner;
    owner = alias;
    EXPECT_EQ(owner->use_count(), 1U);
}

TEST(Intrusive, OwnersOnSeveralThreads) {
    int deleted = 0;
    {
        const auto owner = make_intrusive<Plain>(7, deleted);
        std::vector<std::thread> threads;
        threads.reserve(4);
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([mine = owner] {
                for (int i = 0; i < 1000; ++i) {
                    auto copy = mine;
                    EXPECT_EQ(copy->value, 7);
                    copy.reset();
                }
            });
        }
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(owner->use_count(), 1U);
    }
    EXPECT_EQ(deleted, 1);
}

}  // namespace
}  // namespace stentor
