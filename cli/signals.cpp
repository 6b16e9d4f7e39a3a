#include "cli/signals.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "cli/stderr_log.h"
#include "cli/words.h"
#include "kernels/error.h"
#include "plugins/host/running_callback.h"

namespace gist {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t least_patience = 5 * second;

std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// Returns the signals that end gist, without those that it was started to ignore: a signalfd would
/// get these, too.
sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!is_ignored(signal)) sigaddset(&set, signal);
  }
  return set;
}

[[noreturn]] void die_by(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::signal(signal, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::kill(::getpid(), signal);
  std::_Exit(128 + signal);  // not reached, unless the signal is blocked for the whole process
}

void announce(int descriptor) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(descriptor, &one, sizeof one);
}

/// "" leaves nothing but a clean line behind.
void last_words(std::string_view text) {
  if (StderrLog* log = stderr_log()) log->try_end(text);
}

}  // namespace

Signals::Signals() : wake_(::eventfd(0, EFD_CLOEXEC)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  const sigset_t set = ending_signals();
  if (wake_ < 0 || stop_ < 0 || pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
    fail(ErrorKind::internal, "can't set up the handling of signals");
  }
  watcher_ = std::thread([this] { watch(); });
}

Signals::~Signals() {
  announce(stop_);
  watcher_.join();
  ::close(wake_);
  ::close(stop_);
}

void Signals::begin_work() const {
  beat_after_waiting();
  working_.store(true);
}

void Signals::beat() const {
  const Nanoseconds here = now();
  const Nanoseconds before = last_beat_.exchange(here);
  longest_pause_.store(std::max(longest_pause_.load(), here - before));
}

void Signals::beat_after_waiting() const {
  last_beat_.store(now());
}

void Signals::watch() {
  constexpr int tick = 100;  // milliseconds
  const sigset_t set = ending_signals();
  const int arrivals = ::signalfd(-1, &set, SFD_CLOEXEC);
  std::array<pollfd, 2> wanted{pollfd{arrivals, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  Nanoseconds came = 0;  // when the first signal did
  bool announced = false;
  for (;;) {
    const int ready = ::poll(wanted.data(), wanted.size(), came == 0 ? -1 : tick);
    if (ready < 0) continue;
    if ((wanted[1].revents & POLLIN) != 0) break;
    if (ready == 0) {
      if (!announced) announce_end();  // a run that ends by itself within a tick needs no words
      announced = true;
      if (stuck(came)) {
        const auto running = running_callback();
        last_words(fmt::format(
            "nothing has moved since the signal came{}{}: ended; what was committed is kept",
            running[0] == '\0' ? "" : ", which found this running: ", running.data()));
        die_by(signal_.load());
      }
      continue;
    }
    signalfd_siginfo info{};
    if (::read(arrivals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal_.exchange(signal) != 0 || !working_.load()) {
      last_words("");
      die_by(signal);
    }
    came = now();
    announce(wake_);
  }
  ::close(arrivals);
}

/// Says what is waited for, and for how long, to go by the units so far.
void Signals::announce_end() const {
  const char* unit = unit_.load();
  StderrLog* log = stderr_log();
  if (unit == nullptr || log == nullptr) return;
  const Nanoseconds left = unit_mean_.load() - (now() - unit_began_.load());
  const std::string about =
      left < second
          ? ""
          : fmt::format(", in about {}", duration_in_words(static_cast<double>(left) / second));
  log->try_say(fmt::format("stopping after this {}{}; a second signal stops at once", unit, about));
}

bool Signals::stuck(Nanoseconds since) const {
  if (patience_.load() > 0) return false;
  const Nanoseconds allowed = std::max(least_patience, 3 * longest_pause_.load());
  return now() - std::max(since, last_beat_.load()) > allowed;
}

void Signals::end_by_signal() const {
  die_by(signal_.load());
}

SignalUnit::SignalUnit(const Signals& signals, const char* name) : signals_(signals) {
  signals_.beat_after_waiting();
  signals_.unit_began_.store(now());
  signals_.unit_.store(name);
}

SignalUnit::~SignalUnit() {
  const std::int64_t took = now() - signals_.unit_began_.load();
  const std::int64_t mean = signals_.unit_mean_.load();
  signals_.unit_mean_.store(mean == 0 ? took : mean + (took - mean) / 8);  // the last ones' mostly
  signals_.unit_.store(nullptr);
  signals_.beat();
}

SignalPatience::SignalPatience(const Signals& signals) : signals_(signals) {
  ++signals_.patience_;
}

SignalPatience::~SignalPatience() {
  --signals_.patience_;
  signals_.beat_after_waiting();
}

}  // namespace gist
