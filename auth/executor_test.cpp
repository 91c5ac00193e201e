#include "auth/executor.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

using std::chrono_literals::operator""ms;
using testing::Test;

/// One worker, held by a first job while the test fills the queue.
class WorkersTest : public Test {
  protected:
    static constexpr Duration kEach = 100ms;  // what a job takes, by the test's clock

    class Note final : public Job {
      public:
        Note(
            WorkersTest& test, std::string name, std::uint64_t lane, bool is_due, std::size_t bytes)
            : test_{&test}, name_{std::move(name)}, lane_{lane}, is_due_{is_due}, bytes_{bytes} {}
        [[nodiscard]] std::uint64_t lane() const noexcept override { return lane_; }
        [[nodiscard]] std::size_t bytes() const noexcept override { return bytes_; }
        [[nodiscard]] bool is_due() override { return is_due_; }
        void run() override { test_->ran(name_); }
        void turned_away() override { test_->turned_away_.push_back(name_); }  // see release()

      private:
        WorkersTest* test_;
        std::string name_;
        std::uint64_t lane_;
        bool is_due_;
        std::size_t bytes_;
    };

    void start(const WorkersOptions& options) {
        workers_ = std::make_unique<Workers>(options, [this] {
            const std::lock_guard lock{mutex_};
            return now_;
        });
        hold("first");
    }
    /// The worker is busy with this one until release().
    void hold(const std::string& name) {
        {
            const std::lock_guard lock{mutex_};
            is_held_ = true;
        }
        post(name, 99);
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return !ran_.empty() && ran_.back() == name; });
    }
    void post(std::string name, std::uint64_t lane, bool is_due = true, std::size_t bytes = 0) {
        workers_->post(std::make_unique<Note>(*this, std::move(name), lane, is_due, bytes));
    }
    /// Names in the order in which they ran, when there are so many.
    std::vector<std::string> release(std::size_t count) {
        std::unique_lock lock{mutex_};
        is_held_ = false;
        changed_.notify_all();
        changed_.wait(lock, [&] { return done_ >= count; });
        return ran_;
    }
    using Names = std::vector<std::string>;

    std::vector<std::string> turned_away_;

  private:
    void ran(const std::string& name) {
        std::unique_lock lock{mutex_};
        now_ += kEach;
        ran_.push_back(name);
        changed_.notify_all();
        changed_.wait(lock, [this] { return !is_held_; });
        ++done_;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    Instant now_{};
    bool is_held_ = true;
    std::vector<std::string> ran_;
    std::size_t done_ = 0;
    std::unique_ptr<Workers> workers_;  // goes first
};

TEST_F(WorkersTest, LanesAreServedInTurnHoweverMuchOneOfThemBrings) {
    start({.threads = 1});
    for (const char* name : {"a1", "a2", "a3", "a4"}) post(name, 1);
    for (const char* name : {"b1", "b2"}) post(name, 2);
    post("c1", 3);
    EXPECT_EQ(release(8), (Names{"first", "a1", "b1", "c1", "a2", "b2", "a3", "a4"}));
}

TEST_F(WorkersTest, WhoeverBringsMostIsTurnedAway) {
    start({.threads = 1, .queue_jobs_max = 4});
    for (const char* name : {"a1", "a2", "a3"}) post(name, 1);
    post("b1", 2);
    EXPECT_EQ(turned_away_, Names{});
    post("c1", 3);
    post("c2", 3);
    EXPECT_EQ(turned_away_, (Names{"a3", "c2"}));
    post("b2", 2);
    post("d1", 4);
    EXPECT_EQ(turned_away_, (Names{"a3", "c2", "b2", "a2"}));
    post("e1", 5);  // as much as everybody else, and later
    EXPECT_EQ(turned_away_, (Names{"a3", "c2", "b2", "a2", "e1"}));
    EXPECT_EQ(release(5), (Names{"first", "a1", "b1", "c1", "d1"}));
}

TEST_F(WorkersTest, NoMoreWaitThanCanBeDoneInTime) {
    start({.threads = 1, .queue_time_max = 5 * kEach});
    (void)release(1);
    hold("second");
    for (int i = 0; i < 7; ++i) post(std::to_string(i), 1);
    EXPECT_EQ(turned_away_, (Names{"5", "6"}));
    (void)release(7);
}

TEST_F(WorkersTest, WhoCameBeforeTheSpeedWasKnownIsTurnedAwayOnceItIs) {
    start({.threads = 1, .queue_time_max = 5 * kEach});
    for (int i = 0; i < 9; ++i) post(std::to_string(i), 1);
    EXPECT_EQ(turned_away_, Names{});
    (void)release(6);
    EXPECT_EQ(turned_away_, (Names{"8", "7", "6", "5"}));
}

TEST_F(WorkersTest, WhoeverHoldsMostMemoryIsTurnedAway) {
    start({.threads = 1, .queue_bytes_max = 100});
    post("a1", 1, true, 10);
    post("a2", 1, true, 10);
    post("b1", 2, true, 80);
    EXPECT_EQ(turned_away_, Names{});
    post("a3", 1, true, 10);
    EXPECT_EQ(turned_away_, Names{"b1"});
    EXPECT_EQ(release(4), (Names{"first", "a1", "a2", "a3"}));
}

TEST_F(WorkersTest, SomethingMayWaitHoweverSlowItIs) {
    start({.threads = 1, .queue_time_max = kEach / 2});
    (void)release(1);
    hold("second");
    post("a", 1);
    post("b", 2);
    EXPECT_EQ(turned_away_, Names{"b"});
    EXPECT_EQ(release(3), (Names{"first", "second", "a"}));
}

TEST_F(WorkersTest, WhatNobodyWaitsForIsNotRun) {
    start({.threads = 1});
    post("a", 1);
    post("gone", 1, false);
    post("b", 1);
    EXPECT_EQ(release(3), (Names{"first", "a", "b"}));
}

}  // namespace
}  // namespace stentor::auth
