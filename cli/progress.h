// Progress shows how far a run is: on a terminal as a line that is drawn anew as work is done,
// elsewhere as one line of the log a minute.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gist/stopwatch.h"

namespace gist {

/// WorkDone counts what is done of a piece of work.
struct WorkDone {
  std::uint64_t count = 0;
  std::optional<std::uint64_t> total;
  std::optional<double> fraction;  // where the total isn't known; it may be of the input's bytes
};

/// Returns how many seconds the rest of some work will take that took `seconds` so far, at its pace
/// since `before`; nothing where that isn't known.
std::optional<double> seconds_left(const WorkDone& before, const WorkDone& now, double seconds);

/// "step 5/20, 2.0/s, 25 %, 14 s left" or "37 records, 2.0/s, 10 %, 3 min left". `noun` is what is
/// counted, `details` may be "".
std::string progress_line(const std::string& noun, const WorkDone& before, const WorkDone& now,
                          const std::string& details, double seconds);

class Progress {
 public:
  /// `noun`: what is counted ("record"). `label`, if any, stands before it.
  explicit Progress(std::string noun, std::optional<std::uint64_t> total = std::nullopt,
                    std::string label = "");
  /// Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// The work begins here, and so much was done before: an earlier run's, which says nothing of the
  /// pace. Without it, the work begins where this object does, with nothing done.
  void begin_after(std::uint64_t done, std::optional<double> fraction = std::nullopt);
  /// Work is done. `fraction` of the whole, where no total is known, gives the time that is left.
  void update(std::uint64_t done, std::optional<double> fraction = std::nullopt);
  /// The same with what stands behind the count: "loss 0.12, 14,000 tokens/s".
  void update(std::uint64_t done, std::optional<double> fraction, const std::string& details);
  /// Nothing is shown until the next update: something else is written to the terminal.
  void hide();

  std::uint64_t begun_after() const { return before_.count; }
  double seconds() const { return watch_.seconds(); }  // since the work began

 private:
  std::string noun_;
  std::optional<std::uint64_t> total_;
  std::string label_;
  WorkDone before_;
  Stopwatch watch_;
};

/// While it lives, a terminal shows what is being done where nothing can be counted: "saving".
class Activity {
 public:
  explicit Activity(const std::string& what);
  ~Activity();
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;
};

/// RowsProgress shows the rows of a store, whose number is known only when the work has begun:
/// before it and after the last row stands what is being done.
class RowsProgress {
 public:
  /// "merging 2 stores into all.h5"
  explicit RowsProgress(std::string what);
  /// So many rows of so many are done.
  void update(std::uint64_t done, std::uint64_t all);

 private:
  std::string what_;
  std::optional<Activity> activity_;
  std::optional<Progress> progress_;
};

}  // namespace gist
