// This file says which records a command was told to leave out (formats/records/left_out.h), and
// lists them in a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/output_list.h"
#include "formats/records/left_out.h"

namespace gist {

/// A warning for each reason: how many records of `data` were left out beside the `used` ones, and
/// where they are listed: `list` is a path, and without one the first ordinals stand in the
/// warning.
void warn_of_left_out(const std::vector<LeftOut>& left_out, std::uint64_t used,
                      const std::string& data, const std::string& list);

/// --max-tokens and --left-out, for commands that make no directory where the list could stand.
std::vector<OptionSpec> left_out_options();

/// LeftOutRequest holds what those options say.
struct LeftOutRequest {
  std::int64_t max_tokens = 0;  // 0: none
  std::optional<OutputListFile> list;
};
LeftOutRequest left_out_request(const Options& options);

/// LeftOutList collects the records that such a command leaves out of an input.
class LeftOutList {
 public:
  /// Opens the list's file, if there is one. Throws Error(cannot_create).
  explicit LeftOutList(const LeftOutRequest& request);

  /// Whether a record of so many tokens is longer than --max-tokens.
  bool too_long(std::int64_t tokens) const { return max_tokens_ > 0 && tokens > max_tokens_; }
  void add(LeftOut record);
  const std::vector<LeftOut>& records() const { return records_; }
  std::int64_t max_tokens() const { return max_tokens_; }
  /// The warnings of warn_of_left_out.
  void warn(std::uint64_t used, const std::string& data) const;

 private:
  std::int64_t max_tokens_;
  std::vector<LeftOut> records_;
  std::optional<OutputList> list_;
};

}  // namespace gist
