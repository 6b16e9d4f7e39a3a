// Completions in a file that appears when it is whole: FILE.partial grows line by line under a
// lock, and is renamed to FILE at the end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/line_reader.h"
#include "cli/line_writer.h"

namespace gist {

class CompletionFile {
 public:
  enum class Existing : std::uint8_t { refuse, resume, replace };

  /// Opens FILE.partial and holds its lock. With `resume` a torn last line of it is cut off; with
  /// `resume` and a finished FILE, nothing is written: see `finished`. Throws Error(cannot_create)
  /// where FILE or FILE.partial exists and `existing` is refuse, or where they can't be made;
  /// Error(busy) where another run holds the lock.
  CompletionFile(const std::filesystem::path& path, Existing existing);
  CompletionFile(const CompletionFile&) = delete;
  CompletionFile& operator=(const CompletionFile&) = delete;
  /// A partial file without a line is removed.
  ~CompletionFile();

  /// FILE is whole already: `next_written` gives its lines, and there is no `out`.
  bool finished() const { return !out_; }
  /// The lines that were there before this run, one after the other.
  std::optional<std::string> next_written();
  LineWriter& out() { return *out_; }
  /// What holds the lines of this run, for messages.
  std::string where() const;
  /// Whether there is anything to go on with.
  bool has_lines() const;

  /// Makes FILE of it. Throws Error(io).
  void publish();

 private:
  void lock();
  void cut_torn_line();
  bool is_partial_file() const;

  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
  std::optional<LineReader> written_;
  std::optional<LineWriter> out_;
};

}  // namespace gist
