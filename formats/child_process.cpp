#include "formats/child_process.h"

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
#include <utility>

#include "kernels/error.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the user

namespace gist {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// A running child; one that still runs at the end of its scope is killed.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) kill();
  }

  /// Its status once it has ended, at the latest at the deadline.
  bool ended(Clock::time_point deadline, int& status) {
    while (true) {
      const pid_t found = ::waitpid(pid_, &status, WNOHANG);
      if (found == pid_) {
        pid_ = 0;
        return true;
      }
      if (Clock::now() >= deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }

 private:
  pid_t pid_;
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
  const int error =
      ::posix_spawn(&pid, program.c_str(), actions.get(), nullptr, argv.data(), environ);
  if (error != 0) {
    fail(ErrorKind::unavailable, "{}: can't be started: {}", program.string(),
         std::strerror(error));
  }
  return pid;
}

/// Reads until the other side is closed or the deadline has passed.
std::string read_report(int fd, Clock::time_point deadline) {
  constexpr std::size_t longest = 65536;
  std::string text;
  std::array<char, 4096> chunk;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return text;
    pollfd ready{fd, POLLIN, 0};
    const int wait = static_cast<int>(std::min<std::int64_t>(left, 60'000));
    if (::poll(&ready, 1, wait) <= 0) continue;
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
    if (got > 0) {
      text.append(chunk.data(), std::min(static_cast<std::size_t>(got), longest - text.size()));
    }
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
                      const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    fail(ErrorKind::unavailable, "no pipe to {}: {}", program.string(), std::strerror(errno));
  }
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  Child child(spawn(program, arguments, writing.get()));
  writing.close();

  ChildReport report;
  report.text = read_report(reading.get(), deadline);
  int status = 0;
  if (child.ended(deadline, status)) {
    report.ended = describe(status);
  } else {
    child.kill();
    report.ended = fmt::format("didn't end within {} s", static_cast<double>(limit.count()) / 1000);
  }
  return report;
}

}  // namespace gist
