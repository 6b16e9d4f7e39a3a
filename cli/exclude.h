// Records that ask the same: --exclude, and what training and evaluation data have in common.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/left_out.h"
#include "cli/options.h"
#include "cli/rejects.h"
#include "cli/signals.h"
#include "formats/files/sha256.h"
#include "formats/records/record_reader.h"

namespace gist {

/// Two records ask the same where this is the same: the hash of strip(instruction), the byte 0xFF
/// (which no UTF-8 has), and strip(input), both as --fields maps them. The answer doesn't count. An
/// input that is missing is empty. Throws Error(data) where the instruction is missing.
Sha256 question_sha256(const Record& record);

/// For unordered containers: a hash is random as it is.
struct Sha256Hash {
  std::size_t operator()(const Sha256& digest) const {
    std::size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

/// --exclude.
std::vector<OptionSpec> exclude_options();
/// Throws Error(usage) where more than one of --data, --eval-data and --exclude is standard input.
void check_standard_input(const Options& options);

/// The records of all files of --exclude.
class ExcludedRecords {
 public:
  ExcludedRecords() = default;  // none
  /// Reads them; a record that can't be used goes to `rejects`. A signal ends the process.
  ExcludedRecords(const Options& options, const FieldMap& map, Rejects& rejects,
                  const Signals* signals);

  /// Where a record that asks the same stands. Throws as question_sha256 does, where there are
  /// files at all.
  std::optional<RecordPlace> find(const Record& record) const;

 private:
  struct Place {
    std::size_t file = 0;
    std::uint64_t line = 0;
    std::uint64_t ordinal = 0;
  };
  std::vector<std::string> files_;
  std::unordered_map<Sha256, Place, Sha256Hash> places_;
};

}  // namespace gist
