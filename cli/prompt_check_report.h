// PromptCheckReport tells what compress --check found: a line for each prompt in a file, a summary
// for all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/output_list.h"
#include "formats/store/staging.h"

namespace gist {

class PromptCheckReport {
 public:
  /// Begins the file of --check-report, where there is one. `max_kl` is that of --max-kl, if any.
  PromptCheckReport(const std::optional<OutputListFile>& file, std::optional<double> max_kl);

  /// Takes note of a record that is staged; of one that was checked the file gets a line: {"id",
  /// "ordinal", "kl" (a token; null where it is infinite), "tokens", "agreement", "status"}.
  void add(const StagedRecord& record);
  void flush();
  /// Returns one line that says what was found in all, and how many prompts are above the bound:
  /// --max-kl, or without one a yardstick. "" where nothing was checked.
  std::string summary() const;

 private:
  struct Found {
    std::string id;
    double kl;
  };
  std::string bound_in_words() const;

  std::optional<OutputList> list_;
  std::optional<double> max_kl_;
  std::uint64_t prompts_ = 0, checked_ = 0, rejected_ = 0;
  std::uint64_t above_ = 0;  // the bound
  Fidelity all_;
  std::vector<Found> worst_;  // the worst first
};

}  // namespace gist
