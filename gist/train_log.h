// A run writes down as it goes what happens: JSON lines, one a step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace gist {

// Both stand in the output directory.
constexpr const char* metrics_name = "metrics.jsonl";
constexpr const char* spikes_name = "spikes.jsonl";  // where a loss jumps: the records of its step

/// A file of JSON lines that each have a "step".
class StepLog {
 public:
  /// Opens the file to go on after `steps` steps: later lines, which a run wrote that ended before
  /// its next checkpoint, are removed. Throws Error(cannot_create) and Error(io).
  StepLog(const std::filesystem::path& path, std::int64_t steps);
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;
  ~StepLog();

  /// Throws Error(io) where that fails.
  void write(const nlohmann::ordered_json& line);

 private:
  std::string name_;  // for messages
  int descriptor_;
};

/// Tells a loss that jumps from the noise of those before it.
class SpikeDetector {
 public:
  /// Whether the loss lies six standard deviations and half above the mean of the last 64 (at least
  /// 16 must be known). A spike is not counted among them.
  bool is_spike(double loss);
  /// The mean of the last losses.
  double mean() const;

 private:
  std::vector<double> last_;
};

/// Tells a run that doesn't learn: its losses stay above the first step's, which is the base
/// model's.
class DivergenceDetector {
 public:
  void add(double loss);
  /// Whether each of the last 32 losses is more than a tenth above the first one.
  bool diverges() const;
  /// The same of a run that ends. Where it had fewer steps, each loss of the last half (at least 4)
  /// must be more than half above the first.
  bool diverged() const;
  double start() const { return first_.value_or(0); }
  double last() const { return last_.empty() ? start() : last_.back(); }

 private:
  bool all_above(std::size_t losses, double factor) const;

  std::optional<double> first_;
  std::uint64_t count_ = 0;   // after the first
  std::vector<double> last_;  // of the losses after the first, at most 32
};

}  // namespace gist
