// The store of a process that may not open any more files: it goes on with those that are open, and
// catches up when it may again.

#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <sys/resource.h>

namespace stentor::store {
namespace {

/// Until its end this process opens nothing more.
class NoMoreDescriptors {
  public:
    NoMoreDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open(2) is what it is
        const int lowest_free = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(lowest_free);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(lowest_free);
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    NoMoreDescriptors(const NoMoreDescriptors&) = delete;
    NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

  private:
    rlimit before_{};
};

class DescriptorsTest : public testing::TestWithParam<AcknowledgeAfter> {
  protected:
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions small;
        small.directory = directory_.path().string();
        small.acknowledge_after = GetParam();
        small.segment_bytes_max = 10'000;
        small.row_bytes_max = 2000;
        small.tail_bytes_max = 0;
        small.apply_interval = std::chrono::milliseconds{5};
        return small;
    }
    [[nodiscard]] std::size_t segments() const {
        std::size_t count = 0;
        for (const auto& file : std::filesystem::directory_iterator{log_directory(options())}) {
            if (segment_id(file.path().filename().string())) ++count;
        }
        return count;
    }
    static bool publish(Store& store, int messages) {
        bool all = true;
        for (int i = 0; i < messages; ++i) {
            all = all && store.commit(samples::logged("t", std::string(500, 'x'))).has_value();
        }
        return all;
    }
    kit::TempDir directory_;
};

TEST_P(DescriptorsTest, WithoutThemCommitsGoOnAndNothingIsLost) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "UBSan takes a pipe to look at an object, and without one takes it for garbage";
#endif
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    ASSERT_TRUE(store.commit(samples::logged("t", "unfinished")).has_value());
    const Seq seq = store.sink().last();
    ASSERT_TRUE(publish(store, 100));
    {
        const NoMoreDescriptors none;
        // To be pinned from a file that cannot be opened, a file that is full, one to be sealed.
        const auto unfinished = samples::delivered("c", seq, {samples::unfinished(seq, 1)});
        ASSERT_TRUE(store.commit(unfinished).has_value());
        EXPECT_TRUE(publish(store, 100));
        store.engine().needed_from(kShard, next(store.sink().last()));
        EXPECT_TRUE(publish(store, 100));
        EXPECT_FALSE(store.sink().has_failed());
    }
    // Segments that are full are closed when one can be opened after them.
    EXPECT_TRUE(store.wait([&] {
        EXPECT_TRUE(publish(store, 1));
        store.engine().needed_from(kShard, next(store.sink().last()));
        return segments() <= 2;
    }));
    EXPECT_FALSE(store.sink().has_failed());
    EXPECT_TRUE(store.read_one(seq) != nullptr);
    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_TRUE(store.recovered().clean);
    EXPECT_TRUE(store.recovered().state.pinned().contains(seq));
}

INSTANTIATE_TEST_SUITE_P(Engine,
                         DescriptorsTest,
                         testing::Values(AcknowledgeAfter::disk, AcknowledgeAfter::os));

}  // namespace
}  // namespace stentor::store
