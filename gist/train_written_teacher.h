// A teacher that ran elsewhere: training reads from a file what it expected of each record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/teacher.h"
#include "formats/records/jsonl.h"
#include "formats/store/log_probability_file.h"
#include "gist/train_model.h"
#include "gist/train_task.h"

namespace gist {

/// The file is what write_log_probabilities (gist/log_probabilities.h) wrote. Records are found by
/// their texts, so that it may hold more of them, and in another order.
class WrittenTeacher {
 public:
  /// `student` is what is trained, its vocabulary fitted. Throws as LogProbabilityFile, Error(data)
  /// where the file is of another vocabulary, and Error(usage) where the task's temperature isn't 1.
  WrittenTeacher(const std::filesystem::path& path, const BaseModel& student,
                 const TrainTask& task);

  /// Where the record with the student's answer stands in the file. Throws Error(data), naming the
  /// line, where it lacks the record, or has other tokens for the answer.
  std::uint32_t find(const Record& record, std::span<const std::int32_t> answer) const;
  /// Throws as LogProbabilityFile::read.
  TopPredictions read(std::uint32_t place) const { return file_.read(place); }

  /// Without a model.
  Teacher teacher() const;
  std::string name() const { return file_.path().string(); }
  /// The file's hash, for comparison.
  std::string fingerprint() const { return file_.sha256(); }

 private:
  LogProbabilityFile file_;
  std::string student_;
  DistillationOptions options_;
  std::vector<std::int32_t> excluded_;
};

}  // namespace gist
