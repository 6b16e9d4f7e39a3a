// INT, TERM and HUP. Before a run has begun its work, the first one ends it at once: nothing is
// lost. Then the first asks for an orderly end, where what is done is kept, and the second stops at
// once, as it does by itself where nothing moves any more.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace gist {

/// While it lives, the three signals are taken by a thread of its own; one that was ignored when
/// gist started, as by nohup, stays so. Construct it before any other thread starts, so that all
/// threads leave the signals to it. All it is told is safe to tell from any thread.
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

  /// The work begins: from here on a signal asks, and requested() must be looked at.
  void begin_work() const;
  /// The run lives. Where nothing says so for 5 seconds after a signal, and for three times as long
  /// as it ever took until now, the run is ended.
  void beat() const;
  /// The same behind something that says nothing of the run's pace, as waiting for input.
  void beat_after_waiting() const;

 private:
  friend class SignalUnit;
  friend class SignalPatience;
  using Nanoseconds = std::int64_t;  // of the steady clock

  void watch();
  void announce_end() const;
  bool stuck(Nanoseconds since) const;

  std::atomic<int> signal_{0};
  mutable std::atomic<bool> working_{false};
  mutable std::atomic<Nanoseconds> last_beat_{0};
  mutable std::atomic<Nanoseconds> longest_pause_{0};  // between two beats
  mutable std::atomic<const char*> unit_{nullptr};     // what runs and will be finished
  mutable std::atomic<Nanoseconds> unit_began_{0};
  mutable std::atomic<Nanoseconds> unit_mean_{0};  // how long the units so far took; 0: none yet
  mutable std::atomic<int> patience_{0};
  int wake_ = -1;
  int stop_ = -1;
  std::thread watcher_;
};

/// A piece of work that a signal lets finish: "batch", "step". `name` must outlive it.
class SignalUnit {
 public:
  SignalUnit(const Signals& signals, const char* name);
  ~SignalUnit();
  SignalUnit(const SignalUnit&) = delete;
  SignalUnit& operator=(const SignalUnit&) = delete;

 private:
  const Signals& signals_;
};

/// While it lives, results are written, which may take any time and must not be cut off by a first
/// signal.
class SignalPatience {
 public:
  explicit SignalPatience(const Signals& signals);
  ~SignalPatience();
  SignalPatience(const SignalPatience&) = delete;
  SignalPatience& operator=(const SignalPatience&) = delete;

 private:
  const Signals& signals_;
};

}  // namespace gist
