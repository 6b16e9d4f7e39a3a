// INT, TERM and HUP: the first asks for an orderly end, the second stops at once.
#pragma once

#include <atomic>
#include <thread>

namespace gist {

/// While it lives, the three signals are taken by a thread of its own. Construct it before any
/// other thread starts, so that all threads leave the signals to it.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  bool requested() const { return signal_.load() != 0; }
  /// Readable once a signal came: for poll, where input may block.
  int wake_descriptor() const { return wake_; }
  /// Ends the process by the signal that came, so that a shell sees what happened.
  [[noreturn]] void end_by_signal() const;

 private:
  void watch();

  std::atomic<int> signal_{0};
  int wake_ = -1;
  int stop_ = -1;
  std::thread watcher_;
};

}  // namespace gist
