#include "formats/files/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <tuple>
#include <utility>

#include "formats/files/descriptor.h"
#include "kernels/error.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the user

namespace gist {
namespace {

using Clock = std::chrono::steady_clock;

/// A running child, the leader of a process group: the group is killed at the end of its scope.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { std::ignore = end(); }

  /// Whether it has ended. It stays a zombie, so that its process group keeps its number.
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }
  /// Kills what runs of the group, and answers the child's status.
  int end() {
    if (pid_ == 0) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status_;
  }

 private:
  pid_t pid_;
  int status_ = 0;
};

class SpawnAttributes {
 public:
  /// The child becomes the leader of a process group.
  SpawnAttributes() {
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
            int report) {
  FileActions actions;
  ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), STDERR_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(actions.get(), report, report_descriptor);
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const SpawnAttributes attributes;
  const int error =
      ::posix_spawn(&pid, program.c_str(), actions.get(), attributes.get(), argv.data(), environ);
  if (error != 0) {
    fail(ErrorKind::unavailable, "{}: can't be started: {}", program.string(),
         std::strerror(error));
  }
  return pid;
}

/// Appends what the pipe, which doesn't block, holds now. False where nothing more can come.
bool read_some(int fd, std::string& text) {
  constexpr std::size_t longest = 65536;
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 && errno == EAGAIN;
    text.append(chunk.data(), std::min(static_cast<std::size_t>(got), longest - text.size()));
  }
}

/// Reads until the child has ended or the deadline has passed. What the child started may hold the
/// other side of the pipe open, so its end says nothing. False where the child still runs.
bool read_report(int fd, const Child& child, Clock::time_point deadline, std::string& text,
                 const std::function<void(std::string& text)>& hear) {
  constexpr int look_every_ms = 2;
  bool open = true;
  while (true) {
    const bool ended = child.ended();
    if (open) open = read_some(fd, text);
    if (hear && !text.empty()) hear(text);
    if (ended || Clock::now() >= deadline) return ended;
    pollfd ready{fd, POLLIN, 0};
    if (open && ::poll(&ready, 1, look_every_ms) != 0) continue;
    if (!open) std::this_thread::sleep_for(std::chrono::milliseconds(look_every_ms));
  }
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       ::strsignal(WTERMSIG(status)));
  }
  return status == 0 ? "" : fmt::format("exited with status {}", WEXITSTATUS(status));
}

}  // namespace

ChildReport run_child(const std::filesystem::path& program,
                      const std::vector<std::string>& arguments, std::chrono::milliseconds limit,
                      const std::function<void(std::string& text)>& hear) {
  const Clock::time_point deadline = Clock::now() + limit;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    fail(ErrorKind::unavailable, "no pipe to {}: {}", program.string(), std::strerror(errno));
  }
  const Descriptor reading(ends[0]);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  Descriptor writing(ends[1]);
  Child child(spawn(program, arguments, writing.get()));
  writing.close();

  ChildReport report;
  const bool ended = read_report(reading.get(), child, deadline, report.text, hear);
  const int status = child.end();
  if (ended) {
    report.ended = describe(status);
  } else {
    report.ended = fmt::format("didn't end within {} s", static_cast<double>(limit.count()) / 1000);
  }
  return report;
}

}  // namespace gist
