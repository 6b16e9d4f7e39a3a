// Records that a run was told to leave out: longer than --max-tokens, or standing in a file of
// --exclude. None is ever cut, and each is counted and listed.
//
// They are not rejects: nothing is wrong with them, so they stop no run, and the exit code stays 0.
// Which ones they are follows from the input and the options alone. So compress stages nothing of
// them, they get no receipt, and --resume leaves out, and lists, the same ones again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gist {

/// RecordPlace says where a record stands.
struct RecordPlace {
  std::string data;           // the input's name
  std::uint64_t line = 0;     // from 1
  std::uint64_t ordinal = 0;  // from 0
};

struct LeftOut {
  RecordPlace place;
  std::int64_t tokens = 0;               // more than --max-tokens; 0 for --exclude
  std::optional<RecordPlace> stands_in;  // by --exclude
};

/// {"data", "line", "ordinal", "reason", ...}: for reason "max-tokens" also "tokens", for "exclude"
/// also "stands_in": {"data", "line", "ordinal"}.
std::string to_json_line(const LeftOut& record);

/// For the error of a run that has no record left: ": all 40 are left out by the limit of 5 tokens
/// (--max-tokens 5)"; "" where there were none.
std::string all_left_out(const std::vector<LeftOut>& left_out, std::int64_t max_tokens);

}  // namespace gist
