#include "gist/train_data.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/random.h"
#include "formats/files/sha256.h"
#include "formats/records/parallel_records.h"
#include "gist/evaluation_data.h"
#include "gist/excluded_records.h"
#include "kernels/error.h"

namespace gist {
namespace {

LabelledSequence labelled(const Record& record, const BaseModel& base, const TrainTask& task) {
  const Gisting& gisting = task.gisting;
  const FieldLookup fields = [&record](std::string_view name) { return record.string(name); };
  const std::vector<std::int32_t> answer =
      answer_tokens(fields("output"), base.tokenizer, base.ends.written);
  if (answer.empty()) {
    fail(ErrorKind::data, "{}:{}: the answer has no tokens: there is nothing to learn",
         record.where, record.line);
  }
  LabelledSequence result;
  result.condition = gisting.condition;
  result.sequence =
      join(gisting.prompt_template.before_gist(base.tokenizer, fields), base.gist_ids,
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
       "{}:{}: the record takes {} tokens, but the model has {} positions; a limit of {} "
       "tokens (--max-tokens {}) leaves longer records out",
       record.where, record.line, tokens, spec.max_positions, spec.max_positions,
       spec.max_positions);
}

/// Prepared is what can be said of a record without the others.
struct Prepared {
  bool left_out = false;
  std::optional<RecordPlace> stands_in;  // of one that is excluded
  LabelledSequence sequence;
  std::optional<LabelledSequence> lesson;
  std::optional<std::uint32_t> place;  // in a teacher's file
  std::optional<Sha256> question;
};

Prepared prepared(const Record& record, const BaseModel& base, const ModelSpec& spec,
                  const TrainTask& task, const TrainDataEvents& events,
                  const TeacherOfRun& teacher) {
  Prepared result;
  if (events.excluded) result.stands_in = events.excluded(record);
  result.left_out = result.stands_in.has_value();
  if (result.left_out) return result;
  result.sequence = labelled(record, base, task);
  const std::int32_t tokens = result.sequence.sequence.tokens();
  result.left_out = task.max_tokens > 0 && tokens > task.max_tokens;
  if (result.left_out) return result;
  check_length(tokens, record, spec);
  const std::span<const std::int32_t> answer = answer_of(result.sequence);
  if (teacher.model != nullptr) result.lesson = teacher.model->read(record, answer);
  if (teacher.written != nullptr) result.place = teacher.written->find(record, answer);
  if (record.find("instruction") != nullptr) result.question = question_sha256(record);
  return result;
}

}  // namespace

std::optional<TrainData> read_train_data(const RecordSource& source, const BaseModel& base,
                                         const ModelSpec& spec, const TrainTask& task,
                                         std::size_t texts, const TrainDataEvents& events,
                                         const TeacherOfRun& teacher) {
  TrainData data;
  data.name = source.name;
  Sha256Stream hash;
  std::uint64_t seen = 0;
  const auto prepare = [&](const Record& record) {
    return prepared(record, base, spec, task, events, teacher);
  };
  const auto reject = [&](const Record& record, const Error& error) {
    if (!events.reject) throw error;
    events.reject(record, error);
  };
  for_each_record(source, reject, prepare, [&](const Record& record, Prepared each) {
    ++seen;
    if (events.progress) {
      events.progress(seen, source.fraction ? source.fraction() : std::nullopt);
    }
    const RecordPlace place{data.name, record.line, record.ordinal};
    const std::int32_t tokens = each.sequence.sequence.tokens();
    if (each.left_out) {
      data.left_out.push_back({place, tokens, each.stands_in});
      return;
    }
    hash.update(std::as_bytes(std::span(&each.sequence.labels, 1)));
    hash.update(std::as_bytes(std::span(each.sequence.sequence.ids)));
    if (each.question) data.questions.push_back(*each.question);
    if (data.texts.size() < texts) data.texts.push_back(texts_of(record));
    data.records.push_back(std::move(each.sequence));
    if (each.lesson) data.lessons.push_back(std::move(*each.lesson));
    if (each.place) data.places.push_back(*each.place);
    data.lines.push_back(record.line);
    data.ordinals.push_back(record.ordinal);
  });
  if (events.stop_requested && events.stop_requested()) return std::nullopt;
  if (data.records.empty()) {
    fail(ErrorKind::data, "{}: there is no record to use{}", data.name,
         all_left_out(data.left_out, task.max_tokens));
  }
  data.sha256 = to_hex(hash.finish());
  return data;
}

namespace {

LabelledSequence with_drawn_gist(const TrainData& data, std::size_t record, const TrainTask& task,
                                 std::uint32_t draw) {
  LabelledSequence result = data.records[record];
  if (task.least_gist_tokens == 0 || result.sequence.gists.empty()) return result;
  const std::int32_t k = drawn_gist_tokens(task.seed, data.ordinals[record], draw,
                                           task.least_gist_tokens, task.gisting.gist_tokens);
  Interval& gist = result.sequence.gists.front();
  std::vector<std::int32_t>& ids = result.sequence.ids;
  ids.erase(ids.begin() + gist.begin + k, ids.begin() + gist.end);
  gist.end = gist.begin + k;
  return result;
}

}  // namespace

LabelledSequence record_of_step(const TrainData& data, std::size_t record, const TrainTask& task,
                                std::int64_t step) {
  return with_drawn_gist(data, record, task, static_cast<std::uint32_t>(step));
}

LabelledSequence held_out_record(const TrainData& data, std::size_t record, const TrainTask& task) {
  return with_drawn_gist(data, record, task, std::numeric_limits<std::uint32_t>::max());
}

void select_records(const TrainData& data, std::span<const std::uint32_t> numbers,
                    const TrainTask& task, std::int64_t step, SelectedRecords& selected) {
  selected.records.clear();
  selected.lessons.clear();
  selected.places.clear();
  for (const std::uint32_t number : numbers) {
    selected.records.push_back(record_of_step(data, number, task, step));
    if (!data.lessons.empty()) selected.lessons.push_back(data.lessons[number]);
    if (!data.places.empty()) selected.places.push_back(data.places[number]);
  }
}

TeachingRecords teaching_of(const TrainData& data, std::size_t begin, std::size_t count) {
  TeachingRecords result;
  if (!data.lessons.empty()) result.sequences = std::span(data.lessons).subspan(begin, count);
  if (!data.places.empty()) result.places = std::span(data.places).subspan(begin, count);
  return result;
}

std::size_t leaked_records(const TrainData& held_out, const TrainData& data) {
  std::unordered_map<Sha256, std::size_t, Sha256Hash> held_out_records;  // how many ask this
  for (const Sha256& question : held_out.questions) ++held_out_records[question];
  std::size_t leaked = 0;
  for (const Sha256& question : data.questions) {
    const auto at = held_out_records.find(question);
    if (at != held_out_records.end()) leaked += std::exchange(at->second, 0);
  }
  return leaked;
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
