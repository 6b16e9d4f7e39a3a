#include "cli/progress.h"

#include <fmt/format.h>

#include <utility>

#include "cli/stderr_log.h"
#include "cli/words.h"

namespace gist {
namespace {

std::optional<double> share(const WorkDone& work) {
  if (!work.total) return work.fraction;
  if (*work.total == 0) return std::nullopt;
  return static_cast<double>(work.count) / static_cast<double>(*work.total);
}

std::string labelled(const std::string& label, const std::string& text) {
  return label.empty() ? text : label + ": " + text;
}

}  // namespace

std::optional<double> seconds_left(const WorkDone& before, const WorkDone& now, double seconds) {
  const std::optional<double> done = share(now);
  const double already = share(before).value_or(0);
  if (!done || *done <= already) return std::nullopt;
  return seconds * (1 - *done) / (*done - already);
}

std::string progress_line(const std::string& noun, const WorkDone& before, const WorkDone& now,
                          const std::string& details, double seconds) {
  std::string text =
      now.total ? fmt::format("{} {}/{}", noun, now.count, *now.total) : counted(now.count, noun);
  if (!details.empty()) text += ", " + details;
  if (const std::optional<double> done = share(now)) {
    text += fmt::format(", {:.0f} %", 100 * *done);
  }
  if (const std::optional<double> left = seconds_left(before, now, seconds)) {
    text += fmt::format(", {} left", duration_in_words(*left));
  }
  return text;
}

Progress::Progress(std::string noun, std::optional<std::uint64_t> total, std::string label)
    : noun_(std::move(noun)), total_(total), label_(std::move(label)) {
  before_.total = total_;
}

Progress::~Progress() {
  hide();
}

void Progress::begin_after(std::uint64_t done, std::optional<double> fraction) {
  before_ = {done, total_, fraction};
  watch_ = Stopwatch();
}

void Progress::update(std::uint64_t done, std::optional<double> fraction) {
  const double pace = static_cast<double>(done - before_.count) / seconds();
  update(done, fraction, fmt::format("{:.{}f}/s", pace, pace < 10 ? 1 : 0));
}

void Progress::update(std::uint64_t done, std::optional<double> fraction,
                      const std::string& details) {
  StderrLog* log = stderr_log();
  if (log == nullptr || !log->progress_due()) return;
  log->show_progress(labelled(
      label_, progress_line(noun_, before_, {done, total_, fraction}, details, seconds())));
}

void Progress::hide() {
  if (StderrLog* log = stderr_log()) log->show_progress("");
}

Activity::Activity(const std::string& what) {
  StderrLog* log = stderr_log();
  if (log != nullptr && log->terminal()) log->show_progress(what);
}

Activity::~Activity() {
  if (StderrLog* log = stderr_log()) log->show_progress("");
}

RowsProgress::RowsProgress(std::string what) : what_(std::move(what)) {
  activity_.emplace(what_);
}

void RowsProgress::update(std::uint64_t done, std::uint64_t all) {
  if (activity_ && done < all) {
    activity_.reset();
    progress_.emplace("row", all);
  }
  if (!progress_) return;
  progress_->update(done);
  if (done < all) return;
  progress_.reset();
  activity_.emplace(what_);
}

}  // namespace gist
