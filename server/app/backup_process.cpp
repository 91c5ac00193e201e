#include "server/app/backup_process.hpp"

#include "base/descriptor.hpp"
#include "base/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <utility>

namespace stentor::app {

namespace asio = boost::asio;
namespace json = boost::json;
using admin::BackupReport;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

struct Child {
    pid_t pid = -1;
    Descriptor output;
    Descriptor ended;  // readable when it has
};

BackupReport failed(std::string why) {
    return {.outcome = BackupReport::Outcome::failed, .why = std::move(why)};
}

/// Signals as a program expects them that somebody has started, and both outputs into one pipe.
std::optional<Child> start(const std::string& data_dir, const std::string& destination) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
    Child child;
    child.output = Descriptor{ends[0]};
    const Descriptor writing{ends[1]};
    ::posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, writing.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, writing.get(), STDERR_FILENO);
    ::posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::sigset_t none;
    ::sigemptyset(&none);
    ::sigset_t defaults = none;
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::array<std::string, 6> words{"stentor", "store", "backup", "--json", data_dir, destination};
    std::array<char*, words.size() + 1> arguments{};
    for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
    const int error = ::posix_spawn(
        &child.pid, "/proc/self/exe", &files, &attributes, arguments.data(), ::environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (error != 0) return std::nullopt;
    child.ended = Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0))};
    return child;
}

/// All that it says, as far as that is kept; the rest is read, so that it does not wait for us.
asio::awaitable<std::string> output_of(Descriptor from) {
    asio::posix::stream_descriptor pipe{co_await asio::this_coro::executor, from.release()};
    std::string said;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto [error, bytes] =
            co_await pipe.async_read_some(asio::buffer(buffer.data(), buffer.size()), kAwait);
        if (error) co_return said;
        const std::size_t room = BackupProcess::kOutputBytesMax - said.size();
        said.append(buffer.data(), std::min(bytes, room));
    }
}

/// Its exit code; -1: a signal.
asio::awaitable<int> end_of(pid_t pid, Descriptor ended) {
    if (ended) {
        asio::posix::stream_descriptor process{co_await asio::this_coro::executor, ended.release()};
        (void)co_await process.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    }
    int status = 0;
    (void)::waitpid(pid, &status, 0);  // it has closed its output, and so nearly ended
    co_return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

BackupReport report_in(const std::string& said, std::string destination) {
    boost::json::error_code error;
    const json::value parsed = json::parse({said.data(), said.size()}, error);
    if (error || !parsed.is_object()) return failed("stentor store backup said: " + said);
    BackupReport report{.outcome = BackupReport::Outcome::done};
    const auto number = [&](const char* name) -> std::uint64_t {
        const json::value* value = parsed.get_object().if_contains(name);
        if (value == nullptr) return 0;
        boost::json::error_code no_number;
        return value->to_number<std::uint64_t>(no_number);
    };
    report.directory = std::move(destination);
    report.segments = number("segments");
    report.bytes = number("bytes");
    return report;
}

}  // namespace

asio::awaitable<BackupReport> BackupProcess::back_up(std::string name) {
    using Outcome = BackupReport::Outcome;
    if (folder_.empty()) co_return BackupReport{.outcome = Outcome::off};
    if (data_dir_ == ":memory:") co_return BackupReport{.outcome = Outcome::in_memory};
    if (under_way_) co_return BackupReport{.outcome = Outcome::under_way};
    const std::filesystem::path destination = std::filesystem::path{folder_} / name;
    std::error_code error;
    if (std::filesystem::symlink_status(destination, error).type() !=
        std::filesystem::file_type::not_found) {
        co_return BackupReport{.outcome = Outcome::exists};
    }
    under_way_ = true;
    std::string path = destination.string();
    BackupReport report = co_await run(std::move(path));
    under_way_ = false;
    if (report.outcome == Outcome::done) {
        STENTOR_LOG(info,
                    LogEvent("backup_made", {{"directory", report.directory}}),
                    "a backup was made for an administrator");
    } else {
        STENTOR_LOG(error, "backup_failed", "{}", report.why);
    }
    co_return report;
}

asio::awaitable<BackupReport> BackupProcess::run(std::string destination) const {
    auto child = start(data_dir_, destination);
    if (!child) co_return failed("stentor store backup cannot be started");
    Descriptor output = std::move(child->output);
    const std::string said = co_await output_of(std::move(output));
    const int code = co_await end_of(child->pid, std::move(child->ended));
    if (code != 0) co_return failed(said.empty() ? "stentor store backup was ended" : said);
    co_return report_in(said, std::move(destination));
}

}  // namespace stentor::app
