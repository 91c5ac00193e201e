#include "server/app/reload_desk.hpp"

#include "base/assert.hpp"

#include <unistd.h>

#include <cstdint>
#include <sys/eventfd.h>
#include <utility>

namespace stentor::app {

ReloadDesk::ReloadDesk() : wake_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {
    STENTOR_ASSERT(wake_, "a process that starts can have one more descriptor");
}

void ReloadDesk::ask(Answer answer) {
    {
        const std::lock_guard lock{mutex_};
        if (!closed_) {
            waiting_.push_back(std::move(answer));
            const std::uint64_t one = 1;
            (void)!::write(wake_.get(), &one, sizeof one);
            return;
        }
    }
    answer({.outcome = admin::ReloadReport::Outcome::stopping});
}

std::vector<ReloadDesk::Answer> ReloadDesk::take_waiting() {
    const std::lock_guard lock{mutex_};
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
    return std::exchange(waiting_, {});
}

void ReloadDesk::serve(const std::function<admin::ReloadReport()>& reload) {
    const std::vector<Answer> answers = take_waiting();
    if (answers.empty()) return;
    const admin::ReloadReport report = reload();
    for (const Answer& answer : answers) answer(report);
}

void ReloadDesk::close() {
    {
        const std::lock_guard lock{mutex_};
        closed_ = true;
    }
    for (const Answer& answer : take_waiting()) {
        answer({.outcome = admin::ReloadReport::Outcome::stopping});
    }
}

}  // namespace stentor::app
