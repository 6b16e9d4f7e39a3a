#include "cli/completion_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "formats/files/durable.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/output_file.h"
#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* settings_format = "gist-completions";

/// The length of a file up to the end of its last whole line.
off_t whole_lines(int descriptor, off_t size, const std::string& name) {
  std::array<char, 1 << 16> chunk;
  off_t end = size;
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(chunk.size()));
    const ssize_t count =
        ::pread(descriptor, chunk.data(), static_cast<std::size_t>(end - begin), begin);
    if (count != end - begin) fail(ErrorKind::io, "{}: {}", name, std::strerror(errno));
    const std::string_view text(chunk.data(), static_cast<std::size_t>(count));
    const std::size_t last = text.rfind('\n');
    if (last != std::string_view::npos) return begin + static_cast<off_t>(last) + 1;
    end = begin;
  }
  return 0;
}

off_t size_of_file(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? status.st_size : 0;
}

std::filesystem::path settings_beside(const std::filesystem::path& path) {
  return path.string() + ".settings.json";
}

/// Writes what decided the completions in `path`, and whether their run may replace a file.
void write_settings(const std::filesystem::path& path, const nlohmann::ordered_json& settings,
                    bool may_replace) {
  const nlohmann::ordered_json content{{"format", settings_format},
                                       {"version", "1.0"},
                                       {"force", may_replace},
                                       {"settings", settings}};
  write_file_atomically(settings_beside(path), text_of_json(content, 2) + "\n");
}

nlohmann::json read_settings(const std::filesystem::path& path) {
  const std::filesystem::path beside = settings_beside(path);
  if (!may_exist(beside)) {
    fail(ErrorKind::data,
         "{}: {} is missing, which says how it was made: --force makes it anew, or choose another "
         "--output",
         path.string(), beside.string());
  }
  nlohmann::json content = read_json_object(beside);
  const auto settings = content.find("settings");
  if (content.value("format", nlohmann::json()) != settings_format || settings == content.end() ||
      !settings->is_object()) {
    fail(ErrorKind::data, "{}: expected what gist generate wrote beside {}", beside.string(),
         path.string());
  }
  return content;
}

void check_settings(const nlohmann::json& before, const nlohmann::ordered_json& now,
                    const std::filesystem::path& path) {
  const std::string difference = settings_difference(before, now);
  if (difference.empty()) return;
  fail(ErrorKind::usage, "{} was made {}: repeat the options, or start anew with --force",
       path.string(), difference);
}

}  // namespace

CompletionFile::CompletionFile(const std::filesystem::path& path, Mode mode,
                               const nlohmann::ordered_json& settings)
    : path_(path), partial_(path.string() + ".partial"), may_replace_(mode == Mode::replace) {
  if (is_pipe_or_device(path)) {
    if (mode == Mode::resume) {
      fail(ErrorKind::usage, "--resume: {} is a pipe or a device, which keeps nothing",
           path.string());
    }
    open_pipe();
    return;
  }
  lock_ = OutputLock::of_file(path_);
  const bool begun = is_taken(partial_) && !is_empty_file(partial_);
  const bool done = is_taken(path_) && !is_empty_file(path_);
  if (done && !begun && mode == Mode::resume) {
    // Killed between its last two steps, a run leaves the settings, and no partial file.
    if (!is_taken(partial_) && is_taken(settings_beside(partial_))) {
      rename_durably(settings_beside(partial_), settings_beside(path_), Existing::replace);
    }
    check_settings(read_settings(path_)["settings"], settings, path_);
    written_.emplace(path_.string());
    return;
  }
  if (done && mode == Mode::begin) {
    fail(ErrorKind::cannot_create, "{} exists: choose another --output, or --force replaces it",
         path_.string());
  }
  if (begun && mode == Mode::begin) {
    fail(ErrorKind::cannot_create,
         "{} holds an unfinished run: --resume goes on with it, --force discards it",
         partial_.string());
  }
  try {
    if (begun && mode == Mode::resume) {
      go_on(settings);
    } else {
      begin(settings);
    }
    written_.emplace(partial_.string());
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
  out_.emplace(descriptor_, partial_.string());
}

CompletionFile::~CompletionFile() {
  if (descriptor_ < 0) return;
  if (lock_ && names(partial_, descriptor_) && !has_lines()) remove_partial();
  ::close(descriptor_);
}

void CompletionFile::open_pipe() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
  if (descriptor_ < 0) fail_to_create(path_, errno);
  out_.emplace(descriptor_, path_.string());
}

void CompletionFile::go_on(const nlohmann::ordered_json& settings) {
  const nlohmann::json before = read_settings(partial_);
  check_settings(before["settings"], settings, partial_);
  may_replace_ = before.value("force", false);
  open_partial(0);
  cut_torn_line();
}

void CompletionFile::begin(const nlohmann::ordered_json& settings) {
  remove_partial();
  open_partial(O_CREAT | O_EXCL);
  write_settings(partial_, settings, may_replace_);
}

void CompletionFile::open_partial(int flags) {
  descriptor_ = ::open(partial_.c_str(), O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | flags, 0666);
  if (descriptor_ < 0) fail_to_create(partial_, errno);
}

void CompletionFile::remove_partial() {
  ::unlink(settings_beside(partial_).c_str());
  ::unlink(partial_.c_str());
}

void CompletionFile::cut_torn_line() {
  const off_t size = size_of_file(descriptor_);
  const off_t whole = whole_lines(descriptor_, size, partial_.string());
  if (whole < size && ::ftruncate(descriptor_, whole) != 0) {
    fail(ErrorKind::io, "{}: {}", partial_.string(), std::strerror(errno));
  }
}

std::optional<std::string> CompletionFile::next_written() {
  if (!written_) return std::nullopt;
  std::optional<std::string> line = written_->next();
  if (!line) written_.reset();  // what comes now are lines of this run
  return line;
}

std::string CompletionFile::where() const {
  return finished() || !lock_ ? path_.string() : partial_.string();
}

bool CompletionFile::has_lines() const {
  return lock_ && size_of_file(descriptor_) > 0;
}

void CompletionFile::publish() {
  out_->flush();
  if (!lock_) return;
  if (::fsync(descriptor_) != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", partial_.string(), write_error_text(errno));
  }
  rename_durably(partial_, path_, may_replace_ ? Existing::replace : Existing::refuse);
  rename_durably(settings_beside(partial_), settings_beside(path_), Existing::replace);
}

}  // namespace gist
