#include "cli/train_data.h"

#include <algorithm>

#include "core/random.h"
#include "formats/sha256.h"
#include "kernels/error.h"

namespace gist {
namespace {

LabelledSequence labelled(const Record& record, const BaseModel& base, const TrainTask& task) {
  const GistOptions& gisting = task.gisting;
  const FieldLookup fields = [&record](std::string_view name) { return record.string(name); };
  const std::vector<std::int32_t> answer = answer_tokens(fields("output"), base.tokenizer);
  if (answer.empty()) {
    fail(ErrorKind::data, "{}:{}: the answer has no tokens: there is nothing to learn",
         record.where, record.line);
  }
  LabelledSequence result;
  result.condition = gisting.condition;
  result.sequence =
      join(gisting.prompt_template.before_gist(base.tokenizer, fields), base.gist_token(),
           gisting.gist_tokens, gisting.prompt_template.after_gist(base.tokenizer, fields));
  if (result.sequence.ids.empty()) {
    fail(ErrorKind::data, "{}:{}: nothing stands before the answer", record.where, record.line);
  }
  result.sequence.ids.insert(result.sequence.ids.end(), answer.begin(), answer.end());
  result.labels = static_cast<std::int32_t>(answer.size());
  return result;
}

void check_length(std::int32_t tokens, const Record& record, const ModelSpec& spec) {
  if (spec.max_positions == 0 || tokens <= spec.max_positions) return;
  fail(ErrorKind::data,
       "{}:{}: the record takes {} tokens, but the model has {} positions; --max-tokens {} leaves "
       "longer records out",
       record.where, record.line, tokens, spec.max_positions, spec.max_positions);
}

}  // namespace

TrainData read_train_data(const std::string& path, const BaseModel& base, const ModelSpec& spec,
                          const TrainTask& task, Rejects& rejects, const Signals* signals) {
  RecordReader reader(path, task.fields, signals);
  TrainData data;
  data.name = reader.name();
  Sha256Stream hash;
  while (std::optional<Record> line = reader.next()) {
    reader.use(*line, rejects, [&](const Record& record) {
      LabelledSequence sequence = labelled(record, base, task);
      const std::int32_t tokens = sequence.sequence.tokens();
      if (task.max_tokens > 0 && tokens > task.max_tokens) {
        data.left_out.push_back({record.line, record.ordinal, tokens});
        return;
      }
      check_length(tokens, record, spec);
      hash.update(std::as_bytes(std::span(&sequence.labels, 1)));
      hash.update(std::as_bytes(std::span(sequence.sequence.ids)));
      data.records.push_back(std::move(sequence));
      data.lines.push_back(record.line);
      data.ordinals.push_back(record.ordinal);
    });
  }
  if (signals != nullptr && signals->requested()) signals->end_by_signal();
  if (data.records.empty()) {
    fail(ErrorKind::data, "{}: there is no record to use{}", data.name,
         data.left_out.empty() ? ""
                               : fmt::format(": all {} are longer than --max-tokens {}",
                                             data.left_out.size(), task.max_tokens));
  }
  data.sha256 = to_hex(hash.finish());
  return data;
}

std::span<const std::uint32_t> RecordOrder::of_step(std::int64_t step) {
  const std::int64_t epoch = step / epoch_steps_;
  if (epoch != epoch_) {
    order_ = shuffled(task_->seed, static_cast<std::uint64_t>(epoch),
                      static_cast<std::uint32_t>(records_));
    epoch_ = epoch;
  }
  const auto first = static_cast<std::size_t>(step % epoch_steps_ * task_->batch_records);
  const auto count = std::min(static_cast<std::size_t>(task_->batch_records), records_ - first);
  return std::span(order_).subspan(first, count);
}

}  // namespace gist
