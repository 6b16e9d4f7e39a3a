// The check of compressed prompts: each is answered twice, from its whole text and from what is to
// be stored of it, and the answers' next-token distributions are compared.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/fidelity.h"
#include "formats/model/named_templates.h"
#include "gist/loaded_model.h"
#include "gist/prompt_reader.h"

namespace gist {

struct PromptCheckTask {
  std::optional<std::size_t> sample;  // how many prompts are checked; nothing: all
  std::optional<double> max_kl;       // nats a label, in the mean of a prompt; nothing: any
};

/// WholePromptModel is what a check asks for, and the model that answers from the whole prompt,
/// under pos: another model, or the one that compresses. It is not loaded yet.
class WholePromptModel {
 public:
  /// `files`, `spec` and `task` are those of the model that compresses; they must outlive it.
  /// `other` is the other model, if any, whose family is looked for as `setup` says. Throws
  /// Error(data) where it has another vocabulary.
  WholePromptModel(const ModelFiles& files, const ModelSpec& spec, const CompressionTask& task,
                   const PromptCheckTask& check, std::optional<ModelFiles> other,
                   const ModelSetup& setup);
  WholePromptModel(const WholePromptModel&) = delete;  // the questions point into it
  WholePromptModel& operator=(const WholePromptModel&) = delete;

  const PromptCheckTask& task() const { return task_; }
  const QuestionReader& questions() const { return *questions_; }
  /// The fingerprint of the other model; "" where there is none.
  std::string model_sha256() const;
  /// The tensors of the other model that were left out, as was asked.
  std::vector<std::string> ignored_tensors() const;
  /// The tokens that end the reference's answers; `files` are the gist model's.
  const std::vector<std::int32_t>& ends(const ModelFiles& files) const;
  /// The gist tokens of both; `files` are the gist model's.
  GistIds gist_ids(const ModelFiles& files) const;
  /// Loads the other model; nothing where there is none, and then no backend is opened. One of
  /// these is called, once.
  std::optional<LoadedModel> load(const ModelSetup& setup, const BackendOpener& open_backend);
  std::optional<PlannedModel> plan(Dtype dtype);

 private:
  PromptCheckTask task_;
  std::optional<ModelFiles> other_;
  std::unique_ptr<Family> other_family_;
  ModelSpec other_spec_;
  PromptTemplate other_layout_ = decoder_template();
  std::optional<QuestionReader> questions_;
};

/// A prompt with a question, and what is to be stored of it.
struct CheckedPrompt {
  const Prompt* prompt;
  const GistActivations* stored;
};

class PromptChecker {
 public:
  /// `ends` are the tokens that end the reference's own answers. Passes have at most `batch_tokens`
  /// tokens; a longer question has one of its own. The models must outlive the checker.
  PromptChecker(const Model& gist, const Model& reference, std::vector<std::int32_t> ends,
                const GistIds& gist_ids, std::int32_t batch_tokens, const PromptCheckTask& task);

  std::vector<Fidelity> check(std::span<const CheckedPrompt> prompts);
  /// Whether a prompt is too far from its whole text to be stored.
  bool refuses(const Fidelity& found) const { return !(found.per_label() <= max_kl()); }
  /// Why, and what to do.
  std::string refusal(const std::string& id, const Fidelity& found) const;
  double max_kl() const { return task_.max_kl.value_or(std::numeric_limits<double>::infinity()); }

 private:
  std::vector<std::vector<std::int32_t>> answers_to(std::span<const CheckedPrompt> prompts) const;

  const Model& gist_;
  const Model& reference_;
  std::vector<std::int32_t> ends_;
  GistIds gist_ids_;  // which no answer has
  std::int32_t batch_tokens_;
  PromptCheckTask task_;
  Scratch gist_scratch_, reference_scratch_;
};

}  // namespace gist
