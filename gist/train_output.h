// The directory that a training run writes into.
#pragma once

#include <filesystem>
#include <vector>

#include "formats/files/output_lock.h"
#include "gist/train_data.h"

namespace gist {

constexpr const char* left_out_name = "left_out.jsonl";  // in the directory: records left out

/// A directory with its parents, made where it is missing. In the end what was made of them and is
/// empty still goes: a run that can't begin leaves none.
class NewDirectories {
 public:
  /// Throws Error(cannot_create).
  explicit NewDirectories(const std::filesystem::path& output);
  NewDirectories(const NewDirectories&) = delete;
  NewDirectories& operator=(const NewDirectories&) = delete;
  ~NewDirectories();

 private:
  std::vector<std::filesystem::path> made_;  // the deepest first
};

/// Makes a run's directory and holds it for the run: no other process may have it meanwhile.
class TrainOutput {
 public:
  /// A new run takes an empty directory, and `resume` one that a run wrote into. Throws
  /// Error(cannot_create) where it is another, because files that are not the run's own could have
  /// the names of those it makes, and where it can't be made; Error(busy) where another process
  /// holds it.
  TrainOutput(const std::filesystem::path& output, bool resume);

 private:
  NewDirectories made_;
  OutputLock lock_;
};

/// Lists what was left out of these data in DIR/left_out.jsonl, where anything was. `held_out` may
/// be null.
void list_left_out(const std::filesystem::path& output, const TrainData& data,
                   const TrainData* held_out);

}  // namespace gist
