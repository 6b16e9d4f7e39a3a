// What compress --check found: a line for each prompt in a file, a summary for all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/output_list.h"
#include "formats/staging.h"

namespace gist {

class CheckReport {
 public:
  /// Begins the file of --check-report, where there is one.
  explicit CheckReport(const Options& options);

  /// Takes note of a record that is staged; of one that was checked the file gets a line: {"id",
  /// "ordinal", "kl" (a token; null where it is infinite), "tokens", "agreement", "status"}.
  void add(const StagedRecord& record);
  void flush();
  /// What was found in all, in one line; "" where nothing was checked.
  std::string summary() const;

 private:
  struct Found {
    std::string id;
    double kl;
  };
  std::optional<OutputList> list_;
  std::uint64_t prompts_ = 0, checked_ = 0, rejected_ = 0;
  Fidelity all_;
  std::vector<Found> worst_;  // the worst first
};

}  // namespace gist
