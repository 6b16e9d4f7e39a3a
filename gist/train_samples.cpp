#include "gist/train_samples.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/generate.h"
#include "core/key_value_cache.h"
#include "formats/files/text.h"
#include "formats/sequences/completion_text.h"
#include "formats/sequences/context.h"

namespace gist {
namespace {

/// Returns what stands before the record's answer.
Context context_of(const LabelledSequence& record) {
  Context context;
  context.sequence = record.sequence;
  context.sequence.ids.resize(context.sequence.ids.size() -
                              static_cast<std::size_t>(record.labels));
  context.condition = record.condition;
  return context;
}

/// Returns options with which samples are answered as `generate` and `evaluate` would answer with
/// the model that training leaves, in passes no larger than training's.
GenerationOptions greedy_options(const std::vector<Context>& contexts, const BaseModel& base,
                                 const TrainTask& task) {
  GenerationOptions options;
  ban(all_of(base.gist_ids, base.tokenizer.gist_ids()), options.sampling);
  options.ends = base.ends.ids;
  options.max_new_tokens = most_sample_tokens;
  options.max_rows = static_cast<std::int32_t>(contexts.size());
  options.batch_tokens = static_cast<std::int32_t>(task.training.batch_tokens);
  // No more memory than these rows take: the rest belongs to training.
  options.cache_tokens = 0;
  for (const Context& context : contexts) {
    options.cache_tokens +=
        context.sequence.tokens() + most_sample_tokens + 2 * KeyValueCache::block_size;
  }
  return options;
}

nlohmann::ordered_json to_json(const EvaluationRecord& record, const std::string& completion,
                               const Completion& answer) {
  const auto text = [](const std::string& whole) {
    return shortened(whole, most_sample_characters);
  };
  return {{"ordinal", record.ordinal},
          {"instruction", text(record.instruction)},
          {"input", text(record.input)},
          {"reference", text(record.reference_answer)},
          {"completion", text(completion)},
          {"finish_reason", name_of(answer.reason)},
          {"completion_tokens", answer.ids.size()}};
}

}  // namespace

nlohmann::ordered_json answered_samples(const Model& model, const TrainData& held_out,
                                        const BaseModel& base, const TrainTask& task,
                                        const std::function<void()>& alive) {
  std::vector<Context> contexts;
  for (std::size_t i = 0; i < held_out.texts.size(); ++i) {
    contexts.push_back(context_of(held_out_record(held_out, i, task)));
  }
  std::vector<nlohmann::ordered_json> answers(contexts.size());
  std::size_t begun = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    if (begun == contexts.size()) return std::nullopt;
    const std::size_t i = begun++;
    return request_for(contexts[i], nullptr, held_out.texts[i].ordinal);
  };
  events.token = [](std::uint64_t, const std::vector<std::int32_t>&) { return true; };
  events.done = [&](std::uint64_t request, const Completion& answer) {
    answers[request] =
        to_json(held_out.texts[request],
                completion_text(base.tokenizer, contexts[request], answer.ids), answer);
  };
  events.interrupted = [&] {  // who asks for an end waits for the evaluation
    if (alive) alive();
    return false;
  };
  generate(model, greedy_options(contexts, base, task), events);
  return answers;
}

}  // namespace gist
