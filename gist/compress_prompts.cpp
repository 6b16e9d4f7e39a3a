#include "gist/compress_prompts.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "core/compress.h"
#include "gist/prompt_source.h"

namespace gist {
namespace {

/// Each prompt has an id of its own, so that equal ones are no duplicates.
RecordSource numbered(std::span<const std::string> prompts) {
  return source_of([prompts, next = std::size_t{0}]() mutable -> std::optional<PromptText> {
    if (next == prompts.size()) return std::nullopt;
    PromptText prompt{std::to_string(next), prompts[next]};
    ++next;
    return prompt;
  });
}

}  // namespace

std::vector<MadeGist> compress_prompts(const ModelFiles& files, const LoadedModel& model,
                                       const CompressionTask& task,
                                       std::span<const std::string> prompts,
                                       const BatchLimits& limits) {
  CompressionTask all = task;
  all.shard = {};
  all.max_tokens = 0;
  all.known = nullptr;
  const ModelSpec& spec = model.model.spec();
  PromptReader reader(numbered(prompts), files, spec, all);
  Scratch scratch(model.model.backend());
  std::vector<MadeGist> results;
  std::vector<Sequence> sequences;
  std::vector<Interval> kept;
  std::int32_t tokens = 0;
  const auto run_batch = [&] {
    if (sequences.empty()) return;
    std::vector<GistActivations> batch =
        compress(model.model, sequences, kept, all.condition, scratch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      results.push_back({std::move(batch[i]), kept[i].begin});
    }
    sequences.clear();
    kept.clear();
    tokens = 0;
  };
  while (std::optional<Prompt> prompt = reader.next()) {
    if (!fits(limits, tokens, sequences.size(), *prompt)) run_batch();
    tokens += prompt->sequence.tokens();
    sequences.push_back(std::move(prompt->sequence));
    kept.push_back(prompt->kept);
  }
  run_batch();
  return results;
}

}  // namespace gist
