// The records of an evaluation, and the groups that they fall into.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/evaluation.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/rejects.h"
#include "formats/records/record_reader.h"

namespace gist {

/// The texts of a record that has an "output".
EvaluationRecord texts_of(const Record& record);

/// The records of --data, without those that are left out, and the groups that they fall into.
class EvaluationData {
 public:
  /// `prompt_template` says which fields records may have.
  EvaluationData(const Options& options, const PromptTemplate& prompt_template);

  /// Runs `action` on each record and adds it; an Error(data) of it rejects the record. It says
  /// whether it used the record: see too_long.
  void read(Evaluation& evaluation, const std::function<bool(const Record&)>& action);

  /// Whether a record of so many tokens is left out; then that is counted.
  bool too_long(const Record& record, std::int64_t tokens);

  const std::string& name() const { return records_.name(); }
  int exit_code() const { return rejects_.count() > 0 ? exit_rejects : exit_ok; }

 private:
  std::string group_of(const Record& record) const;
  std::size_t index_of(const std::string& group, std::vector<std::string>& groups);

  FieldMap map_;
  RecordReader records_;
  Rejects rejects_;
  ExcludedRecords excluded_;
  LeftOutList left_out_;
  std::string group_by_;
  std::unordered_map<std::string, std::size_t> indices_;
};

}  // namespace gist
