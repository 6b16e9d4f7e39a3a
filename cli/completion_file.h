// Completions in a file that appears when it is whole: FILE.partial grows line by line under the
// output's lock, and is renamed to FILE at the end. Beside FILE stands FILE.settings.json, and
// beside FILE.partial FILE.partial.settings.json: what decided the completions, which a run that
// resumes must agree with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/line_writer.h"
#include "formats/files/output_lock.h"
#include "formats/records/line_reader.h"

namespace gist {

class CompletionFile {
 public:
  enum class Mode : std::uint8_t { begin, resume, replace };  // without option, --resume, --force

  /// Opens FILE.partial and holds the output's lock. With `resume` a torn last line of it is cut
  /// off; with `resume` and a finished FILE, nothing is written: see `finished`. A FILE that is a
  /// pipe or device is written into. Throws Error(cannot_create) where FILE or FILE.partial exists
  /// and isn't resumed or replaced, or where they can't be made; Error(usage) where what is resumed
  /// was made with other settings, naming the first that differs; Error(data) where nothing says
  /// with which; Error(busy) where another run works on FILE.
  CompletionFile(const std::filesystem::path& path, Mode mode,
                 const nlohmann::ordered_json& settings);
  CompletionFile(const CompletionFile&) = delete;
  CompletionFile& operator=(const CompletionFile&) = delete;
  /// A partial file without a line is removed.
  ~CompletionFile();

  /// FILE is whole already: `next_written` gives its lines, and there is no `out`.
  bool finished() const { return !out_; }
  /// The lines that were there before this run, one after the other.
  std::optional<std::string> next_written();
  LineWriter& out() { return *out_; }
  /// Returns the name of the place where this run's lines stand, for messages.
  std::string where() const;
  /// Whether there is anything to go on with.
  bool has_lines() const;

  /// Makes FILE of it. Throws Error(io), and Error(cannot_create) where FILE has come meanwhile.
  void publish();

 private:
  void open_pipe();
  void go_on(const nlohmann::ordered_json& settings);
  void begin(const nlohmann::ordered_json& settings);
  void open_partial(int flags);
  void cut_torn_line();
  void remove_partial();

  std::filesystem::path path_, partial_;
  std::optional<OutputLock> lock_;
  bool may_replace_ = false;  // FILE
  int descriptor_ = -1;
  std::optional<LineReader> written_;
  std::optional<LineWriter> out_;
};

}  // namespace gist
