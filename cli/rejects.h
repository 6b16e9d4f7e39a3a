// The options --keep-going and --errors say what happens to records that can't be used.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cli/options.h"
#include "cli/output_list.h"
#include "formats/records/record_source.h"
#include "kernels/error.h"

namespace gist {

/// --keep-going and --errors.
std::vector<OptionSpec> reject_options();

/// RejectsRequest holds what those options say.
struct RejectsRequest {
  bool keep_going = false;
  std::optional<OutputListFile> errors;
};
/// Throws Error(usage) for --errors without --keep-going.
RejectsRequest rejects_request(const Options& options);

/// Rejects decides what happens to records that can't be used.
class Rejects {
 public:
  /// Without --keep-going the first such record ends the run. With it each gets a line in the file
  /// of --errors, {"line", "ordinal", "reason", "record"}, or else a warning.
  explicit Rejects(const RejectsRequest& request);
  Rejects() = default;  // the first one ends the run
  Rejects(const Rejects&) = delete;
  Rejects& operator=(const Rejects&) = delete;

  /// Throws the error on unless --keep-going.
  void reject(const Record& record, const Error& error);
  /// The same as a function, for what reads records. The object must outlive it.
  RejectRecord sink() {
    return [this](const Record& record, const Error& error) { reject(record, error); };
  }
  std::uint64_t count() const { return count_; }
  /// Says at the end of a run how many stand in the file of --errors, where there are any.
  void tell_listed() const;

 private:
  bool keep_going_ = false;
  std::optional<OutputList> list_;
  std::uint64_t count_ = 0;
};

}  // namespace gist
