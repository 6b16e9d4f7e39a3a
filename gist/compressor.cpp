#include "gist/compressor.h"

#include <utility>

#include "core/compress.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Status = StagedRecord::Status;

CompressedPrompt in_store_dtype(const GistActivations& values, Dtype dtype) {
  CompressedPrompt result;
  try {
    result.activations = to_raw(values, dtype);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    result.objection = error.what();
  }
  return result;
}

}  // namespace

std::vector<CompressedPrompt> Compressor::compress(const std::vector<Prompt>& batch) {
  std::vector<Sequence> sequences;
  std::vector<Interval> kept;
  for (const Prompt& prompt : batch) {
    if (prompt.record.status != Status::stored) continue;
    sequences.push_back(prompt.sequence);
    kept.push_back(prompt.kept);
  }
  std::vector<CompressedPrompt> results;
  if (sequences.empty()) return results;
  for (const GistActivations& values :
       gist::compress(model_, sequences, kept, task_.condition, scratch_)) {
    results.push_back(in_store_dtype(values, store_dtype_));
  }
  if (checker_ != nullptr) check(batch, results);
  return results;
}

std::optional<std::string> Compressor::objection_to(const Prompt& prompt) {
  const std::vector<CompressedPrompt> compressed = compress({prompt});
  if (compressed.empty() || compressed[0].objection.empty()) return std::nullopt;
  return compressed[0].objection;
}

void Compressor::check(const std::vector<Prompt>& batch, std::vector<CompressedPrompt>& results) {
  std::vector<CompressedPrompt*> checked;
  std::vector<GistActivations> stored;
  std::vector<CheckedPrompt> questions;
  stored.reserve(results.size());  // `questions` points into it
  auto result = results.begin();
  for (const Prompt& prompt : batch) {
    if (prompt.record.status != Status::stored) continue;
    CompressedPrompt& compressed = *result++;
    if (!prompt.question || !compressed.objection.empty()) continue;
    stored.push_back(
        from_raw(compressed.activations, prompt.kept.end - prompt.kept.begin, store_dtype_));
    questions.push_back({&prompt, &stored.back()});
    checked.push_back(&compressed);
  }
  const std::vector<Fidelity> found = checker_->check(questions);
  for (std::size_t i = 0; i < found.size(); ++i) {
    checked[i]->checked = found[i];
    if (checker_->refuses(found[i])) {
      checked[i]->objection = checker_->refusal(questions[i].prompt->record.id, found[i]);
    }
  }
}

LoadedCompressor::LoadedCompressor(const ModelFiles& files, std::unique_ptr<Family> family,
                                   const CompressionTask& task, WholePromptModel* check,
                                   Dtype store_dtype, const BatchLimits& limits,
                                   const ModelSetup& setup, const BackendOpener& open_backend)
    : loaded_(load_model(files, std::move(family), open_backend(setup))) {
  if (check != nullptr) {
    reference_ = check->load(setup, open_backend);
    checker_.emplace(loaded_.model, reference_ ? reference_->model : loaded_.model,
                     check->ends(files), check->gist_ids(files), limits.tokens, check->task());
  }
  compressor_.emplace(loaded_.model, task, store_dtype, checker_ ? &*checker_ : nullptr);
}

}  // namespace gist
