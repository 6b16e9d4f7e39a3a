#include "gist/excluded_records.h"

#include "formats/model/prompt_template.h"
#include "formats/records/parallel_records.h"

namespace gist {

Sha256 question_sha256(const Record& record) {
  constexpr std::string_view separator = "\xFF";
  Sha256Stream hash;
  hash.update(strip(record.string("instruction")));
  hash.update(separator);
  if (const std::string* input = record.find_string("input")) hash.update(strip(*input));
  return hash.finish();
}

ExcludedRecords::ExcludedRecords(const ExcludedFiles& files, const FieldMap& map,
                                 const RejectRecord& reject) {
  for (const std::string& path : files.paths) {
    RecordReader reader(path, map, files.wake, files.max_record_bytes);
    files_.push_back(reader.name());
    for_each_record(
        source_of(reader), reject, question_sha256,
        [&](const Record& record, const Sha256& question) {
          places_.emplace(question, Place{files_.size() - 1, record.line, record.ordinal});
        });
    if (files.stop_requested && files.stop_requested()) return;
  }
}

std::optional<RecordPlace> ExcludedRecords::find(const Record& record) const {
  if (files_.empty()) return std::nullopt;
  const auto at = places_.find(question_sha256(record));
  if (at == places_.end()) return std::nullopt;
  const Place& place = at->second;
  return RecordPlace{files_[place.file], place.line, place.ordinal};
}

}  // namespace gist
