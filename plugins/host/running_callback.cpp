#include "plugins/host/running_callback.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace gist {
namespace {

// Signal handlers and exit handlers get no argument through which they could learn what runs, so
// this state belongs to the process: an exception from the rule, like the handlers themselves.
thread_local RunningCallback* innermost = nullptr;
/// The callback that any thread began last, for other threads: the texts live longer than it.
struct {
  std::atomic<const char*> plugin{nullptr};  // null where none runs
  std::atomic<const char*> callback{nullptr};
  std::atomic<int> layer{-1};
} last_begun;
std::atomic<int> exit_status{0};
std::atomic<pid_t> process{0};  // 0 until deaths are reported

constexpr std::array handled = {SIGSEGV, SIGFPE, SIGABRT, SIGILL, SIGBUS};
std::array<struct sigaction, handled.size()> before;

/// Text put together without memory of the heap, for signal handlers. What doesn't fit is left out.
class Line {
 public:
  void add(std::string_view text) {
    const std::size_t room = text_.size() - 1 - used_;
    const std::size_t taken = text.size() < room ? text.size() : room;
    std::memcpy(text_.data() + used_, text.data(), taken);
    used_ += taken;
  }
  void add(int number) {
    char digits[12];
    std::size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    while (count > 0) add(std::string_view(&digits[--count], 1));
  }
  void add(const char* plugin, const char* callback, int layer) {
    add(plugin);
    add(", ");
    add(callback);
    if (layer < 0) return;
    add(" ");
    add(layer);
  }
  std::string_view text() const { return {text_.data(), used_}; }
  const std::array<char, 512>& buffer() const { return text_; }

 private:
  std::array<char, 512> text_{};
  std::size_t used_ = 0;
};

[[noreturn]] void die_of(const RunningCallback& callback, std::string_view how) {
  Line line;
  if (::isatty(STDERR_FILENO) == 1) line.add("\r\x1b[K");  // in place of a line of progress
  line.add("gist: ");
  line.add(callback.plugin(), callback.callback(), callback.layer());
  line.add(": ");
  line.add(how);
  line.add("; what was written before is kept; \"gist plugins check LIBRARY\" tests a plugin\n");
  const std::string_view text = line.text();
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  innermost = nullptr;  // it is reported
  ::_exit(exit_status.load());
}

const char* words_for(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "it accessed memory that isn't its own (SIGSEGV)";
    case SIGFPE:
      return "it divided by zero, or the like (SIGFPE)";
    case SIGABRT:
      return "it aborted (SIGABRT)";
    case SIGILL:
      return "it ran an instruction that this processor doesn't have (SIGILL)";
    default:
      return "it accessed memory that has gone (SIGBUS)";
  }
}

void on_signal(int signal, siginfo_t* info, void*) {
  if (innermost != nullptr && !innermost->in_host) die_of(*innermost, words_for(signal));
  // No code of a plugin's runs: the signal is handled as if this handler weren't there. A fault of
  // the processor's comes again, as the same instruction runs again.
  for (std::size_t i = 0; i < handled.size(); ++i) {
    if (handled[i] == signal) ::sigaction(signal, &before[i], nullptr);
  }
  if (info->si_code <= 0) ::raise(signal);
}

void publish(const RunningCallback* callback) {
  last_begun.plugin = nullptr;
  if (callback == nullptr) return;
  last_begun.callback = callback->callback();
  last_begun.layer = callback->layer();
  last_begun.plugin = callback->plugin();
}

/// Operations of the host end the program for reasons of their own, and children that a plugin has
/// forked are the plugin's matter.
void end_by(std::string_view how) {
  if (innermost == nullptr || innermost->in_host || ::getpid() != process.load()) return;
  die_of(*innermost, how);
}

void on_exit() {
  end_by("it ended the program by exit");
}

}  // namespace

RunningCallback::RunningCallback(const char* plugin, const char* callback, int layer)
    : plugin_(plugin), callback_(callback), layer_(layer), outer_(innermost) {
  innermost = this;
  publish(this);
}

RunningCallback::~RunningCallback() {
  innermost = outer_;
  publish(outer_);
}

HostOperation::HostOperation() : callback_(innermost) {
  if (callback_ != nullptr) callback_->in_host = true;
}

HostOperation::~HostOperation() {
  if (callback_ != nullptr) callback_->in_host = false;
}

std::array<char, 512> running_callback() {
  Line line;
  const char* plugin = last_begun.plugin;
  const char* callback = last_begun.callback;
  if (plugin != nullptr && callback != nullptr) line.add(plugin, callback, last_begun.layer);
  return line.buffer();
}

void report_deaths_in_callbacks(int status) {
  // A stack of its own: the plugin's may be what it overran.
  static std::array<std::byte, 65536> stack;
  stack_t alternate{};
  if (::sigaltstack(nullptr, &alternate) == 0 && (alternate.ss_flags & SS_DISABLE) != 0) {
    alternate = {};
    alternate.ss_sp = stack.data();
    alternate.ss_size = stack.size();
    ::sigaltstack(&alternate, nullptr);
  }
  exit_status = status;
  process = ::getpid();
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (std::size_t i = 0; i < handled.size(); ++i) ::sigaction(handled[i], &action, &before[i]);
  std::atexit(on_exit);
  std::at_quick_exit(on_exit);
}

void report_exit_at_once() {
  end_by("it ended the program by _exit");
}

}  // namespace gist
