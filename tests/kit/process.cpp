#include "tests/kit/process.hpp"

#include "base/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <utility>

namespace stentor::kit {
namespace {

using SteadyClock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

struct Pipe {
    Descriptor read_end;
    Descriptor write_end;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
    std::vector<std::string> merged;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view ours = *entry;
        const auto name = ours.substr(0, ours.find('=') + 1);
        const bool replaced = std::any_of(
            extra.begin(), extra.end(), [&](const auto& e) { return e.starts_with(name); });
        if (!replaced) merged.emplace_back(ours);
    }
    merged.insert(merged.end(), extra.begin(), extra.end());
    return merged;
}

std::vector<char*> as_argv(std::vector<std::string>& strings) {
    std::vector<char*> argv;
    argv.reserve(strings.size() + 1);
    for (auto& s : strings) argv.push_back(s.data());
    argv.push_back(nullptr);
    return argv;
}

/// Child side, between fork and exec: async-signal-safe calls only.
struct ChildSetup {
    int in, out, err, failure;
    const char* directory;
    char** argv;
    char** envp;
    pid_t parent;

    [[noreturn]] void exec() const {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(127);  // the parent went before the line above
        ::signal(SIGPIPE, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        const bool ready = ::dup2(in, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(err, 2) >= 0 &&
                           (*directory == '\0' || ::chdir(directory) == 0);
        if (ready) ::execvpe(argv[0], argv, envp);
        const int error = errno;
        [[maybe_unused]] const auto n = ::write(failure, &error, sizeof error);
        ::_exit(127);
    }
};

/// What a stream has said, and up to where the test has looked at it.
struct Heard {
    std::string text;
    std::size_t looked_at = 0;
    bool ended = false;

    /// The next complete line (or the rest, once the stream has ended).
    bool next_line(std::string_view& line) {
        const auto end = text.find('\n', looked_at);
        if (end == std::string::npos) {
            if (!ended || looked_at == text.size()) return false;
            line = std::string_view{text}.substr(looked_at);
            looked_at = text.size();
            return true;
        }
        line = std::string_view{text}.substr(looked_at, end - looked_at);
        looked_at = end + 1;
        return true;
    }
};

}  // namespace

struct Process::Impl {
    std::vector<std::string> command;
    pid_t pid = -1;
    Descriptor pidfd;
    Descriptor in;
    Descriptor out;
    Descriptor err;
    Pipe stop;  // closing its write end stops the reader, whoever still holds the child's pipes
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::array<Heard, 2> heard;
    bool collected = false;
    ExitStatus status;
    std::jthread reader;  // last: it ends before what it uses

    void read_both();
    void collect();
    [[nodiscard]] std::string story(std::string_view what) const;
};

void Process::Impl::read_both() {
    std::array<char, 65536> buffer{};
    std::array<pollfd, 3> streams{
        {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}, {stop.read_end.get(), POLLIN, 0}}};
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        if (::poll(streams.data(), streams.size(), -1) < 0 && errno != EINTR) return;
        if (streams[2].revents != 0) return;
        for (std::size_t i = 0; i < heard.size(); ++i) {
            if (streams[i].fd < 0 || streams[i].revents == 0) continue;
            const auto n = ::read(streams[i].fd, buffer.data(), buffer.size());
            if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            const std::lock_guard lock{mutex};
            if (n > 0) {
                heard[i].text.append(buffer.data(), static_cast<std::size_t>(n));
            } else {
                heard[i].ended = true;
                streams[i].fd = -1;
            }
            changed.notify_all();
        }
    }
}

void Process::Impl::collect() {
    int raw = 0;
    while (::waitpid(pid, &raw, 0) < 0) {
        if (errno != EINTR) fail("waitpid");
    }
    collected = true;
    status = WIFSIGNALED(raw) ? ExitStatus{-1, WTERMSIG(raw)} : ExitStatus{WEXITSTATUS(raw), 0};
}

std::string Process::Impl::story(std::string_view what) const {
    std::string text{what};
    text += "\ncommand:";
    for (const auto& word : command) {
        const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$*#%") == word.npos;
        text += plain ? " " + word : " '" + word + "'";
    }
    const std::lock_guard lock{mutex};
    text += "\nstdout so far:\n" + heard[0].text + "\nstderr so far:\n" + heard[1].text;
    return text;
}

Process::Process(std::vector<std::string> command, ProcessOptions options)
    : impl_{std::make_unique<Impl>()} {
    // A child that has gone shows up as EPIPE in write(), not as the death of the test.
    static const auto kIgnored = ::signal(SIGPIPE, SIG_IGN);
    static_cast<void>(kIgnored);

    auto in = make_pipe();
    auto out = make_pipe();
    auto err = make_pipe();
    auto failure = make_pipe();
    impl_->command = std::move(command);
    auto environment = merged_environment(options.environment);
    auto argv = as_argv(impl_->command);
    auto envp = as_argv(environment);
    const ChildSetup child{.in = in.read_end.get(),
                           .out = out.write_end.get(),
                           .err = err.write_end.get(),
                           .failure = failure.write_end.get(),
                           .directory = options.working_directory.c_str(),
                           .argv = argv.data(),
                           .envp = envp.data(),
                           .parent = ::getpid()};
    impl_->pid = ::fork();
    if (impl_->pid < 0) fail("fork");
    if (impl_->pid == 0) child.exec();

    // glibc 2.36 has a wrapper, but declares it without C linkage.
    impl_->pidfd = Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, impl_->pid, 0))};
    in.read_end.reset();
    out.write_end.reset();
    err.write_end.reset();
    failure.write_end.reset();
    int error = 0;
    if (::read(failure.read_end.get(), &error, sizeof error) == sizeof error) {
        impl_->collect();
        errno = error;
        fail("cannot start " + impl_->command.front());
    }
    impl_->in = std::move(in.write_end);
    impl_->out = std::move(out.read_end);
    impl_->err = std::move(err.read_end);
    impl_->stop = make_pipe();
    impl_->reader = std::jthread{[impl = impl_.get()] { impl->read_both(); }};
}

Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
    std::swap(impl_, other.impl_);
    return *this;
}

Process::~Process() {
    if (!impl_) return;
    if (!impl_->collected && impl_->pid > 0) {
        ::kill(impl_->pid, SIGKILL);
        impl_->collect();
    }
    impl_->stop.write_end.reset();
}

pid_t Process::pid() const noexcept { return impl_->pid; }

std::string Process::wait_for_line(Stream stream,
                                   std::string_view text,
                                   std::chrono::milliseconds limit) {
    try {
        return wait_for_line_if(
            stream, [&](std::string_view line) { return line.find(text) != line.npos; }, limit);
    } catch (const Timeout& timeout) {
        throw Timeout{"no line with \"" + std::string{text} + "\": " + timeout.what()};
    }
}

std::string Process::wait_for_line_if(Stream stream,
                                      const std::function<bool(std::string_view)>& wanted,
                                      std::chrono::milliseconds limit) {
    const auto deadline = SteadyClock::now() + limit;
    bool late = false;
    std::unique_lock lock{impl_->mutex};
    auto& heard = impl_->heard[stream == Stream::out ? 0 : 1];
    for (;;) {
        std::string_view line;
        while (heard.next_line(line)) {
            if (wanted(line)) return std::string{line};
        }
        if (heard.ended || late) break;
        late = impl_->changed.wait_until(lock, deadline) == std::cv_status::timeout;
    }
    const bool ended = heard.ended;
    lock.unlock();
    throw Timeout{impl_->story(ended ? "the stream has ended" : "time limit reached")};
}

std::string Process::output(Stream stream) const {
    const std::lock_guard lock{impl_->mutex};
    return impl_->heard[stream == Stream::out ? 0 : 1].text;
}

bool Process::write(std::string_view text) {
    while (!text.empty()) {
        const auto n = ::write(impl_->in.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

void Process::close_stdin() { impl_->in.reset(); }

bool Process::send_signal(int signal) {
    if (!running()) return false;
    return ::kill(impl_->pid, signal) == 0;
}

bool Process::terminate() { return send_signal(SIGTERM); }
bool Process::kill() { return send_signal(SIGKILL); }

ExitStatus Process::wait(std::chrono::milliseconds limit) {
    const auto deadline = SteadyClock::now() + limit;
    if (!impl_->collected) {
        pollfd ended{impl_->pidfd.get(), POLLIN, 0};
        int ready = 0;
        do {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                std::max(deadline - SteadyClock::now(), SteadyClock::duration::zero()));
            ready = ::poll(&ended, 1, static_cast<int>(left.count()));
        } while (ready < 0 && errno == EINTR);
        if (ready <= 0) throw Timeout{impl_->story("still running")};
        impl_->collect();
    }
    std::unique_lock lock{impl_->mutex};
    const bool read_all = impl_->changed.wait_until(
        lock, deadline, [&] { return impl_->heard[0].ended && impl_->heard[1].ended; });
    lock.unlock();
    if (!read_all) throw Timeout{impl_->story("ended, but a grandchild holds its output open")};
    return impl_->status;
}

bool Process::running() {
    if (impl_->collected) return false;
    pollfd ended{impl_->pidfd.get(), POLLIN, 0};
    if (::poll(&ended, 1, 0) <= 0) return true;
    impl_->collect();
    return false;
}

std::string Process::command_line() const {
    const auto story = impl_->story("");
    const auto start = story.find("command: ") + std::strlen("command: ");
    return story.substr(start, story.find("\nstdout so far:") - start);
}

Finished run(std::vector<std::string> command,
             std::string_view input,
             ProcessOptions options,
             std::chrono::milliseconds limit) {
    Process process{std::move(command), std::move(options)};
    process.write(input);
    process.close_stdin();
    const auto status = process.wait(limit);
    return {status, process.output(Stream::out), process.output(Stream::err)};
}

std::uint16_t free_port() {
    const Descriptor probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(probe.get(), generic, length) != 0) fail("bind");
    if (::getsockname(probe.get(), generic, &length) != 0) fail("getsockname");
    return ntohs(address.sin_port);
}

}  // namespace stentor::kit
