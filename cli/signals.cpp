#include "cli/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "kernels/error.h"

namespace gist {
namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
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

void Signals::watch() {
  const sigset_t set = ending_signals();
  const int arrivals = ::signalfd(-1, &set, SFD_CLOEXEC);
  std::array<pollfd, 2> wanted{pollfd{arrivals, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
  for (;;) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    if ((wanted[1].revents & POLLIN) != 0) break;
    signalfd_siginfo info{};
    if (::read(arrivals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal_.exchange(signal) != 0) die_by(signal);
    announce(wake_);
  }
  ::close(arrivals);
}

void Signals::end_by_signal() const {
  die_by(signal_.load());
}

}  // namespace gist
