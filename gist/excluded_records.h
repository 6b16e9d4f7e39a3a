// Records that ask the same: what some files hold and is to be left out, and what training and
// evaluation data have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/files/sha256.h"
#include "formats/records/left_out.h"
#include "formats/records/record_source.h"

namespace gist {

/// Two records ask the same where this is the same: the hash of strip(instruction), the byte 0xFF
/// (which no UTF-8 has), and strip(input), both as the field map finds them. The answer doesn't
/// count. An input that is missing is empty. Throws Error(data) where the instruction is missing.
Sha256 question_sha256(const Record& record);

/// Sha256Hash serves unordered containers: a hash is random as it is.
struct Sha256Hash {
  std::size_t operator()(const Sha256& digest) const {
    std::size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

/// The files whose records are left out, and how they are read.
struct ExcludedFiles {
  std::vector<std::string> paths;
  std::size_t max_record_bytes = default_record_bytes;
  int wake = -1;  // a read that blocks ends when this descriptor becomes readable; -1: none
  /// Asked after each file, if it is given: true leaves the rest unread.
  std::function<bool()> stop_requested = {};
};

/// The records of all these files.
class ExcludedRecords {
 public:
  ExcludedRecords() = default;  // none
  /// Reads them. A record that can't be used goes to `reject`. Throws as RecordReader does.
  ExcludedRecords(const ExcludedFiles& files, const FieldMap& map, const RejectRecord& reject);

  /// Returns where a record stands that asks the same. Throws as question_sha256 does, where there
  /// are files at all.
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
