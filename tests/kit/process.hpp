#pragma once
// A child process of a test: spawned with pipes, watched line by line, always collected.
// A reader thread per process empties both pipes, so a talkative child never blocks. The class may
// be used from one thread at a time; the child is killed when the thread that spawned it ends
// (PR_SET_PDEATHSIG), so that an aborted test leaves nothing running.
//
// Time limits here are limits of failure, not delays: every wait ends as soon as its condition
// holds, and throws Timeout, with everything the child has said, when it never does.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace stentor::kit {

inline constexpr std::chrono::seconds kPatience{20};  // generous: two busy cores, sanitizers

/// A wait that did not come true; what() names the command, the condition and the output so far.
/// GoogleTest reports it as the failure of the test.
class Timeout : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

enum class Stream { out, err };

struct ProcessOptions {
    std::vector<std::string> environment{};  // "NAME=value", on top of ours
    std::string working_directory{};         // empty: ours
};

/// How a child ended: `code` if it returned, `signal` if it was killed by one (then code is -1).
struct ExitStatus {
    int code = -1;
    int signal = 0;
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

class Process {
  public:
    /// Starts command[0] (looked up in PATH) with the rest as its arguments; stdin, stdout and
    /// stderr are pipes. Throws std::system_error when it cannot be started.
    explicit Process(std::vector<std::string> command, ProcessOptions options = {});

    /// Kills (SIGKILL) and collects a child that still runs.
    ~Process();
    Process(Process&&) noexcept;
    Process& operator=(Process&&) noexcept;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    [[nodiscard]] pid_t pid() const noexcept;

    /// The next line, among those no earlier call has passed, that contains `text` (without its
    /// line end). Lines before it count as passed. Each stream has its own place.
    /// Throws Timeout also, and at once, when the stream ends without such a line.
    std::string wait_for_line(Stream stream,
                              std::string_view text,
                              std::chrono::milliseconds limit = kPatience);

    /// The same with any condition on the line.
    std::string wait_for_line_if(Stream stream,
                                 const std::function<bool(std::string_view)>& wanted,
                                 std::chrono::milliseconds limit = kPatience);

    /// Everything so far; complete once wait() has returned.
    [[nodiscard]] std::string output(Stream stream) const;

    /// Writes all of `text` to the child's stdin; false once the child has closed it.
    /// Blocks while the child does not read and the pipe (64 KiB) is full.
    bool write(std::string_view text);
    void close_stdin();

    /// False when it has ended already.
    bool send_signal(int signal);
    bool terminate();  // SIGTERM
    bool kill();       // SIGKILL

    /// Until the child has ended and both pipes are read to their end. Afterwards returns the same
    /// again. Does not close stdin by itself.
    ExitStatus wait(std::chrono::milliseconds limit = kPatience);

    [[nodiscard]] bool running();

    /// The command line, quoted enough to be read in a failure message.
    [[nodiscard]] std::string command_line() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// What run() hands back.
struct Finished {
    ExitStatus status;
    std::string out;
    std::string err;
};

/// Spawns, writes `input` to stdin, closes it and waits.
[[nodiscard]] Finished run(std::vector<std::string> command,
                           std::string_view input = "",
                           ProcessOptions options = {},
                           std::chrono::milliseconds limit = kPatience);

/// A TCP port of 127.0.0.1 that was free a moment ago. For programs that cannot bind port 0
/// themselves: be ready to try again with another one.
[[nodiscard]] std::uint16_t free_port();

}  // namespace stentor::kit
