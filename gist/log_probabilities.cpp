#include "gist/log_probabilities.h"

#include <cmath>
#include <span>
#include <unordered_map>

#include "formats/files/sha256.h"
#include "formats/model/fingerprint.h"
#include "formats/store/log_probability_file.h"
#include "gist/excluded_records.h"
#include "kernels/error.h"

namespace gist {
namespace {

LogProbabilityHeader header_of_system(const EvaluatedSystem& system, std::int32_t k) {
  const ModelSpec& spec = system.spec();
  LogProbabilityHeader header;
  header.k = k;
  header.vocabulary = spec.weights[static_cast<std::size_t>(spec.head.weight)].shape[0];
  header.vocabulary_sha256 = vocabulary_sha256(system.files().tokenizer);
  header.model = system.description().name;
  header.condition = name_of(system.description().condition);
  header.model_sha256 = model_sha256(system.files().checkpoint);
  return header;
}

/// The records' keys. One stands for what the system read of a record.
std::vector<Sha256> keys_of(const std::vector<EvaluationItem>& items,
                            const std::vector<EvaluationRecord>& records) {
  std::vector<Sha256> keys;
  std::unordered_map<Sha256, std::size_t, Sha256Hash> first;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const EvaluationRecord& record = records[i];
    keys.push_back(record_key(record.instruction, record.input, record.reference_answer));
    const auto [place, is_new] = first.emplace(keys.back(), i);
    const EvaluationItem& other = items[place->second];
    if (is_new || other.context.sequence.ids == items[i].context.sequence.ids) continue;
    fail(ErrorKind::data,
         "records {} and {} have the same instruction, input and output, but the model reads them "
         "differently, by other fields: log-probabilities (--write-logprobs) can't tell them apart",
         records[place->second].ordinal + 1, record.ordinal + 1);
  }
  return keys;
}

std::vector<std::int32_t> label_counts(const std::vector<EvaluationItem>& items) {
  std::vector<std::int32_t> counts;
  counts.reserve(items.size());
  for (const EvaluationItem& item : items) {
    counts.push_back(static_cast<std::int32_t>(item.labels.size()));
  }
  return counts;
}

}  // namespace

WrittenLogProbabilities write_log_probabilities(EvaluatedSystem& system,
                                                const std::vector<EvaluationItem>& items,
                                                const std::vector<EvaluationRecord>& records,
                                                const LogProbabilityTask& task,
                                                const EvaluationEvents& events) {
  const std::vector<Sha256> keys = keys_of(items, records);
  LogProbabilityWriter writer(task.path, header_of_system(system, task.k), label_counts(items));
  if (events.loading) events.loading(system);
  const LoadedSystem loaded(system, task.open_backend);
  if (events.loaded) events.loaded(system, loaded.loaded);
  const RunningSystem running{system.description().name, items, loaded.loaded.model, loaded.stored,
                              system.token_bytes()};
  WrittenLogProbabilities result;
  const auto add = [&](std::size_t item, const TopPredictions& predictions) {
    for (const float log_p : predictions.log_p) result.mass += std::exp(double{log_p});
    writer.add(keys[item], items[item].labels, predictions);
    ++result.records;
    result.labels += items[item].labels.size();
  };
  result.whole = measure_predictions(running, task.batch_tokens,
                                     system.files().tokenizer.gist_ids(), task.k, events, add);
  if (!result.whole) return result;
  result.mass /= static_cast<double>(result.labels);
  writer.publish(Existing::refuse);
  return result;
}

}  // namespace gist
