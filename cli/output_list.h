// Lists that grow as a run goes on, a JSON object a line: --errors, --left-out, --check-report.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "cli/line_writer.h"
#include "cli/options.h"
#include "formats/files/output_file.h"

namespace gist {

/// OutputListKind tells a list of one kind from other files: by the option that names it, and the
/// fields that each of its lines has.
struct OutputListKind {
  const char* option;
  std::array<std::string_view, 4> fields;
};
constexpr OutputListKind errors_list{"errors", {"line", "ordinal", "reason", "record"}};
constexpr OutputListKind left_out_list{"left-out", {"data", "line", "ordinal", "reason"}};
constexpr OutputListKind check_report_list{"check-report", {"id", "kl", "agreement", "status"}};

/// Whether the path is a descriptor that the shell opened, as /dev/stderr and /dev/fd/63 are: it is
/// written into, whatever is behind it.
bool is_descriptor(const std::filesystem::path& path);

/// Whether the file begins with a line of such a list: an earlier run wrote it.
bool is_output_list(const std::filesystem::path& path, const OutputListKind& kind);

/// OutputListFile says where a list is written.
struct OutputListFile {
  std::string path;
  bool replaces_any = false;  // --force is given: whatever has the name is replaced
};
/// The file that the kind's option names, if it is given.
std::optional<OutputListFile> output_list_file(const Options& options, const OutputListKind& kind);

/// A list of records, begun anew.
class OutputList {
 public:
  /// A list of the same kind, or with `replaces_any` any file, is replaced by a new one; an empty
  /// file is filled; a pipe, device or descriptor is written into. Throws Error(cannot_create)
  /// where anything else has the name, or the file can't be made.
  OutputList(const OutputListFile& file, const OutputListKind& kind);
  OutputList(const OutputList&) = delete;
  OutputList& operator=(const OutputList&) = delete;
  ~OutputList();

  LineWriter& lines() { return *lines_; }
  const std::string& path() const { return path_; }

 private:
  int open_existing() const;

  std::string path_;
  std::optional<TemporaryFile> made_;  // where the file is a new one
  int opened_ = -1;                    // where it was there
  std::optional<LineWriter> lines_;
};

}  // namespace gist
