// The records of an evaluation, and the groups that they fall into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/records/left_out.h"
#include "formats/records/record_source.h"
#include "gist/evaluation.h"
#include "gist/excluded_records.h"

namespace gist {

/// The texts of a record that has an "output".
EvaluationRecord texts_of(const Record& record);

/// EvaluationDataSetup says which records there are, and how they are read.
struct EvaluationDataSetup {
  std::string path;  // "-": standard input
  FieldMap fields = {};
  std::size_t max_record_bytes = default_record_bytes;
  std::int64_t max_tokens = 0;  // longer records are left out; 0: none
  std::string group_by = {};    // the field that groups have in common; "": there are no groups
};

/// EvaluationDataEvents decide what becomes of records that are not measured. Either may be empty:
/// then the error of a record that can't be used is thrown on, and nobody hears of those that are
/// left out.
struct EvaluationDataEvents {
  RejectRecord reject = {};
  std::function<void(const LeftOut& record)> left_out = {};
};

/// The records of an input, without those that are left out, and the groups that they fall into.
class EvaluationData {
 public:
  /// Opens the input. Throws as RecordReader does.
  explicit EvaluationData(EvaluationDataSetup setup);
  EvaluationData(const EvaluationData&) = delete;  // members refer to each other
  EvaluationData& operator=(const EvaluationData&) = delete;

  /// Reads the records of these files: those of the input that ask the same are left out. Throws as
  /// ExcludedRecords does.
  void exclude(const std::vector<std::string>& paths, const RejectRecord& reject = {});

  /// Runs `action` on each record and adds it to the evaluation; an Error(data) of it rejects the
  /// record. It says whether it used the record: see too_long. There may be none in the end.
  void read(Evaluation& evaluation, const EvaluationDataEvents& events,
            const std::function<bool(const Record&)>& action);

  /// Whether a record of so many tokens is left out; then the events hear of it.
  bool too_long(const Record& record, std::int64_t tokens,
                const EvaluationDataEvents& events) const;

  /// The input's.
  const std::string& name() const { return records_.name(); }

 private:
  std::string group_of(const Record& record) const;
  std::size_t index_of(const std::string& group, std::vector<std::string>& groups);

  EvaluationDataSetup setup_;
  RecordReader records_;
  ExcludedRecords excluded_;
  std::unordered_map<std::string, std::size_t> indices_;
};

}  // namespace gist
