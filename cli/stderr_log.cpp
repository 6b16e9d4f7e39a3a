#include "cli/stderr_log.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>

#include "cli/terminal.h"
#include "core/utf8.h"
#include "formats/files/text.h"

namespace gist {
namespace {

constexpr std::chrono::milliseconds between_drawings{200};
constexpr std::chrono::minutes between_log_lines{1};
constexpr std::string_view clear_line = "\r\033[K";

/// Errors are ignored: what can't be written to standard error can't be told anywhere.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// The first characters of a text, one fewer than the terminal has columns: a line that wraps can't
/// be cleared.
std::string_view cut(std::string_view line) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (begins_character(line[i]) && ++characters == line_width(STDERR_FILENO))
      return line.substr(0, i);
  }
  return line;
}

/// A write of a short line to this descriptor would not block.
bool is_writable(int descriptor) {
  pollfd wanted{descriptor, POLLOUT, 0};
  return ::poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLOUT) != 0;
}

}  // namespace

StderrLog::StderrLog()
    : terminal_(is_terminal(STDERR_FILENO)),
      due_(terminal_ ? Clock::time_point{} : Clock::now() + between_log_lines) {}

bool StderrLog::progress_due() {
  const std::lock_guard lock(mutex_);
  return Clock::now() >= due_;
}

void StderrLog::show_progress(const std::string& line) {
  if (!spdlog::should_log(spdlog::level::info)) return;
  if (!terminal_) {
    if (line.empty()) return;
    spdlog::info("{}", line);
    const std::lock_guard lock(mutex_);
    due_ = Clock::now() + between_log_lines;
    return;
  }
  const std::lock_guard lock(mutex_);
  due_ = line.empty() ? Clock::time_point{} : Clock::now() + between_drawings;
  if (line.empty() && shown_.empty()) return;
  shown_ = printable(line);  // names of files stand in it
  write_all(std::string(clear_line).append(cut(shown_)));
}

void StderrLog::try_say(std::string_view text) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock() && is_writable(STDERR_FILENO)) {
    write_above(std::string("gist: ").append(text) + "\n");
  }
}

void StderrLog::try_end(std::string_view text) {
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || !is_writable(STDERR_FILENO)) return;
    if (!shown_.empty()) write_all(clear_line);
    shown_.clear();
  }
  if (!text.empty()) try_say(text);
}

void StderrLog::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t text;
  formatter_->format(message, text);
  write_above({text.data(), text.size()});
}

void StderrLog::write_above(std::string_view lines) const {
  if (shown_.empty()) return write_all(lines);
  write_all(std::string(clear_line).append(lines).append(cut(shown_)));
}

StderrLog* stderr_log() {
  const auto logger = spdlog::default_logger();
  if (!logger || logger->sinks().empty()) return nullptr;
  return dynamic_cast<StderrLog*>(logger->sinks().front().get());
}

}  // namespace gist
