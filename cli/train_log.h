// What a run writes down as it goes: JSON lines, one a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/line_writer.h"

namespace gist {

constexpr const char* metrics_name = "metrics.jsonl";  // in the output directory

/// A file of JSON lines that each have a "step".
class StepLog {
 public:
  /// Opens the file to go on after `steps` steps: later lines, which a run wrote that ended before
  /// its next checkpoint, are removed. Throws Error(cannot_create) and Error(io).
  StepLog(const std::filesystem::path& path, std::int64_t steps);
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;
  ~StepLog();

  void write(const nlohmann::ordered_json& line);

 private:
  int descriptor_;
  LineWriter writer_;
};

/// Tells a loss that jumps from the noise of those before it.
class SpikeDetector {
 public:
  /// Whether the loss lies six standard deviations and half above the mean of the last 64 (at least
  /// 16 must be known). A spike is not counted among them.
  bool is_spike(double loss);
  /// Of the last losses.
  double mean() const;

 private:
  std::vector<double> last_;
};

}  // namespace gist
