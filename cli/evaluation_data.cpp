#include "cli/evaluation_data.h"

#include <optional>
#include <utility>

#include "cli/record_options.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {

EvaluationRecord texts_of(const Record& record) {
  EvaluationRecord result;
  result.reference = record.string("output");
  result.ordinal = record.ordinal;
  if (const std::string* found = record.find_string("instruction")) result.instruction = *found;
  if (const std::string* found = record.find_string("input")) result.input = *found;
  return result;
}

EvaluationData::EvaluationData(const Options& options, const PromptTemplate& prompt_template)
    : map_(field_map(options, prompt_template)),
      records_(options.text("data"), map_, -1, max_record_bytes(options)),
      rejects_(options),
      excluded_(options, map_, rejects_, nullptr),
      left_out_(options),
      group_by_(options.has("group-by") ? options.text("group-by") : "") {}

void EvaluationData::read(Evaluation& evaluation,
                          const std::function<bool(const Record&)>& action) {
  evaluation.data = records_.name();
  evaluation.group_by = group_by_;
  while (std::optional<Record> record = records_.next()) {
    use_record(records_, *record, rejects_.sink(), [&](const Record& each) {
      if (const std::optional<RecordPlace> other = excluded_.find(each)) {
        left_out_.add({{name(), each.line, each.ordinal}, 0, other});
        return;
      }
      EvaluationRecord result = texts_of(each);
      const std::string group = group_of(each);
      if (!action(each)) return;
      // After all that may reject it: a record that is rejected makes no group.
      result.group = index_of(group, evaluation.groups);
      evaluation.records.push_back(std::move(result));
    });
  }
  if (evaluation.records.empty()) {
    fail(ErrorKind::data, "{}: there is no record to evaluate{}", records_.name(),
         all_left_out(left_out_.records(), left_out_.max_tokens()));
  }
  left_out_.warn(evaluation.records.size(), name());
  rejects_.tell_listed();
}

bool EvaluationData::too_long(const Record& record, std::int64_t tokens) {
  if (!left_out_.too_long(tokens)) return false;
  left_out_.add({{name(), record.line, record.ordinal}, tokens, std::nullopt});
  return true;
}

std::string EvaluationData::group_of(const Record& record) const {
  if (group_by_.empty()) return "";
  const auto value = record.fields.find(group_by_);
  if (value == record.fields.end()) {
    fail(ErrorKind::data, "{}:{}: the field {} of --group-by is missing", name(), record.line,
         in_quotes(group_by_));
  }
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::size_t EvaluationData::index_of(const std::string& group, std::vector<std::string>& groups) {
  if (group_by_.empty()) return 0;
  const auto [found, is_new] = indices_.emplace(group, groups.size());
  if (is_new) groups.push_back(group);
  return found->second;
}

}  // namespace gist
