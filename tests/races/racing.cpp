// A program with a race that ThreadSanitizer cannot miss: nothing orders the two threads, whichever
// runs first. Says so and stays, so that only a kill ends it: watch_test.py.

#include <unistd.h>

#include <cstdio>
#include <thread>

namespace {

int shared_count = 0;

}  // namespace

int main() {
    const auto count = [] { ++shared_count; };
    std::thread one{count};
    std::thread two{count};
    one.join();
    two.join();
    std::puts("raced");
    std::fflush(stdout);
    for (;;) ::pause();
}
