#include "protocol/session/ring.hpp"

#include "base/intrusive.hpp"
#include "base/random.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace stentor::mqtt {
namespace {

TEST(Ring, BehavesLikeADeque) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Random random{seed};
        Ring<int> ring;
        std::deque<int> model;
        for (int step = 0; step < 500; ++step) {
            const std::uint64_t action = random.below(10);
            if (action < 5 || model.empty()) {
                ring.push_back(step);
                model.push_back(step);
            } else if (action < 7) {
                ring.pop_front();
                model.pop_front();
            } else if (action < 9) {
                const std::size_t at = random.below(model.size());
                ring.erase(at);
                model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
            } else {
                const auto multiple_of_three = [](int value) { return value % 3 == 0; };
                ring.erase_if(multiple_of_three);
                std::erase_if(model, multiple_of_three);
            }
            ASSERT_EQ(ring.size(), model.size()) << seed;
            for (std::size_t i = 0; i < model.size(); ++i) ASSERT_EQ(ring[i], model[i]) << seed;
        }
    }
}

struct Owned : Counted<Owned> {};

TEST(Ring, ReleasesWhatAnEntryOwnedWhenItLeaves) {
    const auto owned = make_intrusive<Owned>();
    Ring<IntrusivePtr<Owned>> ring;
    for (int i = 0; i < 6; ++i) ring.push_back(owned);
    ring.pop_front();
    ring.erase(0);
    ring.erase(3);
    EXPECT_EQ(owned->use_count(), 4U);
    ring.erase_if([](const auto& /*entry*/) { return true; });
    EXPECT_EQ(owned->use_count(), 1U);
}

TEST(Ring, KeepsItsMemoryWhileEntriesComeAndGo) {
    Ring<int> ring;
    for (int i = 0; i < 4; ++i) ring.push_back(i);
    const std::size_t before = ring.memory_bytes();
    for (int i = 0; i < 1000; ++i) {
        ring.pop_front();
        ring.push_back(i);
    }
    EXPECT_EQ(ring.memory_bytes(), before);
}

}  // namespace
}  // namespace stentor::mqtt
