// The page of `gist train --report`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/report/provenance.h"

namespace gist {

struct TrainReport {
  std::filesystem::path path;
  Provenance provenance;
  double clip = 0;         // the largest norm of a gradient; 0: any
  std::int64_t steps = 0;  // of the whole run
};

/// Draws what metrics.jsonl in `output` says of the run after `step` steps, and replaces the page.
/// `state` completes "Step 300 of 1,000, ...". Throws as write_page and read_file do.
void write_train_report(const TrainReport& report, const std::filesystem::path& output,
                        std::int64_t step, const std::string& state);

}  // namespace gist
