#include "gist/evaluation_data.h"

#include <optional>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

RejectRecord or_throw(const RejectRecord& reject) {
  if (reject) return reject;
  return [](const Record&, const Error& error) { throw error; };
}

}  // namespace

EvaluationRecord texts_of(const Record& record) {
  EvaluationRecord result;
  result.reference_answer = record.string("output");
  result.ordinal = record.ordinal;
  if (const std::string* found = record.find_string("instruction")) result.instruction = *found;
  if (const std::string* found = record.find_string("input")) result.input = *found;
  return result;
}

EvaluationData::EvaluationData(EvaluationDataSetup setup)
    : setup_(std::move(setup)), records_(setup_.path, setup_.fields, -1, setup_.max_record_bytes) {}

void EvaluationData::exclude(const std::vector<std::string>& paths, const RejectRecord& reject) {
  excluded_ = ExcludedRecords({paths, setup_.max_record_bytes}, setup_.fields, or_throw(reject));
}

void EvaluationData::read(Evaluation& evaluation, const EvaluationDataEvents& events,
                          const std::function<bool(const Record&)>& action) {
  evaluation.data = name();
  evaluation.group_by = setup_.group_by;
  const RejectRecord reject = or_throw(events.reject);
  const RecordSource source = source_of(records_);
  while (std::optional<Record> record = source.next()) {
    use_record(source, *record, reject, [&](const Record& each) {
      if (const std::optional<RecordPlace> other = excluded_.find(each)) {
        if (events.left_out) events.left_out({{name(), each.line, each.ordinal}, 0, other});
        return;
      }
      EvaluationRecord result = texts_of(each);
      const std::string group = group_of(each);
      if (!action(each)) return;
      // This comes after all that may reject the record: a record that is rejected makes no group.
      result.group = index_of(group, evaluation.groups);
      evaluation.records.push_back(std::move(result));
    });
  }
}

bool EvaluationData::too_long(const Record& record, std::int64_t tokens,
                              const EvaluationDataEvents& events) const {
  if (setup_.max_tokens == 0 || tokens <= setup_.max_tokens) return false;
  if (events.left_out) {
    events.left_out({{name(), record.line, record.ordinal}, tokens, std::nullopt});
  }
  return true;
}

std::string EvaluationData::group_of(const Record& record) const {
  if (setup_.group_by.empty()) return "";
  const auto value = record.fields.find(setup_.group_by);
  if (value == record.fields.end()) {
    fail(ErrorKind::data,
         "{}:{}: the field {}, by which records are grouped (--group-by), is missing", name(),
         record.line, in_quotes(setup_.group_by));
  }
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::size_t EvaluationData::index_of(const std::string& group, std::vector<std::string>& groups) {
  if (setup_.group_by.empty()) return 0;
  const auto [found, is_new] = indices_.emplace(group, groups.size());
  if (is_new) groups.push_back(group);
  return found->second;
}

}  // namespace gist
