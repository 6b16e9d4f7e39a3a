// TrainWatch shows a person a training session, and tells the session what signals ask of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/train_report.h"
#include "gist/train_events.h"
#include "gist/train_session.h"
#include "kernels/backend.h"

namespace gist {

/// WatchedRun says where a run writes, on what it computes, and how long it is.
struct WatchedRun {
  std::filesystem::path output;
  const Backend& backend;
  std::int64_t steps = 0;
  std::int64_t done = 0;  // steps of an earlier process
};

/// Shows a session's progress, warns of its losses, draws its report, and lets a signal end it in
/// order. It must outlive the session that has its events.
class TrainWatch {
 public:
  /// All must outlive the watch; `report` may be null.
  TrainWatch(WatchedRun run, const Signals& signals, const TrainReport* report);
  TrainWatch(const TrainWatch&) = delete;
  TrainWatch& operator=(const TrainWatch&) = delete;

  TrainEvents events();
  /// The session is made, and its work begins. Throws as write_train_report.
  void begin();
  /// The session has ended: says how, and ends the process by a signal that came. Throws as
  /// write_train_report.
  void end(const TrainResult& result);

 private:
  void show(const TrainStep& step);
  void show_evaluation(std::size_t done, std::size_t of);
  void warn_of_spike(const LossAlarm& alarm) const;
  [[noreturn]] void end_stopped(const TrainResult& result);
  void say_end(const TrainResult& result) const;
  void draw(std::int64_t step, const char* state) const;
  void try_to_draw(std::int64_t step, const char* state) const;

  WatchedRun run_;
  const Signals& signals_;
  const TrainReport* report_;
  Progress progress_;
  std::optional<Progress> evaluation_;  // while held-out records are evaluated
};

}  // namespace gist
