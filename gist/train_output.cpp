#include "gist/train_output.h"

#include <unistd.h>

#include <string>
#include <system_error>

#include "formats/files/atomic_directory.h"
#include "formats/files/file_io.h"
#include "formats/records/left_out.h"
#include "gist/train_checkpoint.h"
#include "gist/train_log.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

/// Whether a run wrote into the directory: these are the first things that one makes.
bool holds_run(const fs::path& output) {
  return may_exist(output / metrics_name) || may_exist(output / left_out_name) ||
         last_checkpoint(output) || read_finished_run(output);
}

/// Throws Error(cannot_create) where a run may not write: files that are not its own could have the
/// names of those it makes.
void check_no_strangers(const fs::path& output, bool resume) {
  std::error_code error;
  const bool empty = fs::is_empty(output, error);
  if (error) {
    fail(ErrorKind::cannot_create, "{} (--output): {}", output.string(), error.message());
  }
  if (empty) return;
  if (!resume) {
    fail(ErrorKind::cannot_create,
         "{} (--output): it exists and is not empty; resume the run in it (--resume), or start a "
         "new one in another directory",
         output.string());
  }
  if (!holds_run(output)) {
    fail(
        ErrorKind::cannot_create,
        "{} (--output): there is no run to resume in it, but other files: choose another directory",
        output.string());
  }
}

}  // namespace

NewDirectories::NewDirectories(const fs::path& output) {
  fs::path missing = output.lexically_normal();
  if (!missing.has_filename()) missing = missing.parent_path();
  for (; !missing.empty() && !may_exist(missing); missing = missing.parent_path()) {
    made_.push_back(missing);
  }
  std::error_code error;
  fs::create_directories(output, error);
  if (error) {
    fail(ErrorKind::cannot_create, "{} (--output): {}", output.string(), error.message());
  }
}

NewDirectories::~NewDirectories() {
  for (const fs::path& directory : made_) ::rmdir(directory.c_str());
}

TrainOutput::TrainOutput(const fs::path& output, bool resume)
    : made_(output), lock_(OutputLock::of_directory(output)) {
  tidy_left_directories(output);
  check_no_strangers(output, resume);
}

void list_left_out(const fs::path& output, const TrainData& data, const TrainData* held_out) {
  std::string lines;
  for (const LeftOut& record : data.left_out) lines += to_json_line(record) + "\n";
  if (held_out != nullptr) {
    for (const LeftOut& record : held_out->left_out) lines += to_json_line(record) + "\n";
  }
  if (!lines.empty()) write_file_atomically(output / left_out_name, lines);
}

}  // namespace gist
