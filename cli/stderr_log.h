// Standard error: a log of lines and, on a terminal, a line below them that says how far a run is.
// It is a sink of spdlog's default logger, through which all of gist speaks.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

#include <spdlog/sinks/base_sink.h>

namespace gist {

class StderrLog : public spdlog::sinks::base_sink<std::mutex> {
 public:
  StderrLog();

  /// Whether a person looks on.
  bool terminal() const { return terminal_; }
  /// Whether it is time for a new line of progress: five times a second on a terminal, once a
  /// minute elsewhere, so that logs stay short and show that a run lives.
  bool progress_due();
  /// On a terminal this shows the line in place of the one before, cut to the terminal's width; ""
  /// shows none. Messages of the log stand above it. Elsewhere it is a line of the log, "" none.
  void show_progress(const std::string& line);
  /// Writes a line where nothing holds standard error up; else nothing. For the thread that must
  /// never wait.
  void try_say(std::string_view text);
  /// The same, where the process ends: the line of progress gives way to the text, or to nothing.
  void try_end(std::string_view text);

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  void write_above(std::string_view lines) const;

  using Clock = std::chrono::steady_clock;
  bool terminal_;
  Clock::time_point due_;  // when progress is shown next
  std::string shown_;      // the line below the log
};

/// The one that gist started with; null in programs that log elsewhere.
StderrLog* stderr_log();

}  // namespace gist
