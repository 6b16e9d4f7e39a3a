#include "cli/exclude.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/record_options.h"
#include "cli/signals.h"
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

std::vector<OptionSpec> exclude_options() {
  return {{"exclude", OptionKind::list, "FILE", "",
           "leave out records with the instruction and input of one in this file; may be given "
           "more than once"}};
}

void check_standard_input(const Options& options) {
  std::vector<std::string> readers;  // of standard input
  for (const std::string name : {"data", "eval-data", "exclude"}) {
    if (!options.knows(name)) continue;
    const std::vector<std::string> paths = options.list(name);
    const auto count = std::count(paths.begin(), paths.end(), "-");
    readers.insert(readers.end(), static_cast<std::size_t>(count), "--" + name);
  }
  if (readers.size() > 1) {
    fail(ErrorKind::usage, "{} can't all be standard input: give files", fmt::join(readers, ", "));
  }
}

ExcludedRecords::ExcludedRecords(const Options& options, const FieldMap& map, Rejects& rejects,
                                 const Signals* signals) {
  for (const std::string& path : options.list("exclude")) {
    const int wake = signals == nullptr ? -1 : signals->wake_descriptor();
    RecordReader reader(path, map, wake, max_record_bytes(options));
    files_.push_back(reader.name());
    const RejectRecord reject = rejects.sink();
    for_each_record(
        reader, reject, question_sha256, [&](const Record& record, const Sha256& question) {
          places_.emplace(question, Place{files_.size() - 1, record.line, record.ordinal});
        });
    if (signals != nullptr && signals->requested()) signals->end_by_signal();
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
