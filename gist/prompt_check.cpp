#include "gist/prompt_check.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/generate.h"
#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// A context, and its answer as labels.
LabelledSequence answered(Sequence context, std::span<const std::int32_t> answer) {
  LabelledSequence result;
  result.sequence = std::move(context);
  result.sequence.ids.insert(result.sequence.ids.end(), answer.begin(), answer.end());
  result.labels = static_cast<std::int32_t>(answer.size());
  return result;
}

/// Throws Error(data) where two models don't answer in the same tokens.
void check_vocabulary(const ModelFiles& reference, const ModelSpec& reference_spec,
                      const ModelFiles& gist, const ModelSpec& gist_spec) {
  if (reference.base_tokenizer_sha256 != gist.base_tokenizer_sha256) {
    fail(ErrorKind::data,
         "{} (--check-model): {} is another vocabulary than {}, so answers can't be compared; give "
         "a model that was trained from the same base",
         reference.path, reference.tokenizer.path().string(), gist.tokenizer.path().string());
  }
  try {
    shared_vocabulary(reference_spec, gist_spec,
                      all_of(gist.tokenizer.gist_ids(), reference.tokenizer.gist_ids()));
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{} (--check-model): {}", reference.path, error.what()));
  }
}

}  // namespace

WholePromptModel::WholePromptModel(const ModelFiles& files, const ModelSpec& spec,
                                   const CompressionTask& task, const PromptCheckTask& check,
                                   std::optional<ModelFiles> other, const ModelSetup& setup)
    : task_(check), other_(std::move(other)) {
  const Reading gist{&files, &spec, &task.prompt_template, task.gist_tokens,
                     task.gist_tokens > 0 ? gist_ids_of(files) : GistIds()};
  if (!other_) {
    Reading whole = gist;
    if (files.adapter) {  // the model as it is
      whole.gist_tokens = 0;
      whole.gist_ids = {};
    }
    questions_.emplace(whole, gist);
    return;
  }
  other_family_ = family_of(*other_, setup);
  other_spec_ = other_family_->spec();
  check_vocabulary(*other_, other_spec_, files, spec);
  other_layout_ = task.prompt_template;
  std::int32_t gist_tokens = other_->tokenizer.gist_token() ? task.gist_tokens : 0;
  if (other_->settings) {
    other_layout_ = other_->settings->prompt_template;
    gist_tokens = other_->settings->gist_tokens;
  }
  const GistIds ids = gist_tokens > 0 ? gist_ids_of(*other_) : GistIds();
  questions_.emplace(Reading{&*other_, &other_spec_, &other_layout_, gist_tokens, ids}, gist);
}

std::string WholePromptModel::model_sha256() const {
  return other_ ? gist::model_sha256(other_->checkpoint) : std::string();
}

std::vector<std::string> WholePromptModel::ignored_tensors() const {
  return other_ ? other_->ignored_tensors : std::vector<std::string>();
}

const std::vector<std::int32_t>& WholePromptModel::ends(const ModelFiles& files) const {
  return other_ ? other_->ends.ids : files.ends.ids;
}

GistIds WholePromptModel::gist_ids(const ModelFiles& files) const {
  const GistIds own = files.tokenizer.gist_ids();
  return other_ ? all_of(own, other_->tokenizer.gist_ids()) : own;
}

std::optional<LoadedModel> WholePromptModel::load(const ModelSetup& setup,
                                                  const BackendOpener& open_backend) {
  if (!other_) return std::nullopt;
  return load_model(*other_, std::move(other_family_), open_backend(setup));
}

std::optional<PlannedModel> WholePromptModel::plan(Dtype dtype) {
  if (!other_) return std::nullopt;
  return plan_model(*other_, std::move(other_family_), dtype);
}

PromptChecker::PromptChecker(const Model& gist, const Model& reference,
                             std::vector<std::int32_t> ends, const GistIds& gist_ids,
                             std::int32_t batch_tokens, const PromptCheckTask& task)
    : gist_(gist),
      reference_(reference),
      ends_(std::move(ends)),
      gist_ids_(gist_ids),
      batch_tokens_(batch_tokens),
      task_(task),
      gist_scratch_(gist.backend()),
      reference_scratch_(reference.backend()) {}

std::vector<Fidelity> PromptChecker::check(std::span<const CheckedPrompt> prompts) {
  const std::vector<std::vector<std::int32_t>> answers = answers_to(prompts);
  std::vector<Fidelity> results;
  std::vector<LabelledSequence> full, behind_gist;
  std::int32_t tokens = 0;
  const auto compare = [&] {
    const std::vector<Fidelity> found = fidelity({reference_, full, reference_scratch_},
                                                 {gist_, behind_gist, gist_scratch_}, gist_ids_);
    results.insert(results.end(), found.begin(), found.end());
    full.clear();
    behind_gist.clear();
    tokens = 0;
  };
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Question& question = *prompts[i].prompt->question;
    LabelledSequence next = answered(question.full_prompt, answers[i]);
    if (!full.empty() && tokens + next.sequence.tokens() > batch_tokens_) compare();
    tokens += next.sequence.tokens();
    full.push_back(std::move(next));
    behind_gist.push_back(answered({question.input, {}}, answers[i]));
    behind_gist.back().stored = prompts[i].stored;
    behind_gist.back().stored_position =
        static_cast<std::int32_t>(prompts[i].prompt->record.position);
  }
  if (!full.empty()) compare();
  return results;
}

/// The answer of each prompt's question: the record's, or what the reference says to the whole
/// prompt.
std::vector<std::vector<std::int32_t>> PromptChecker::answers_to(
    std::span<const CheckedPrompt> prompts) const {
  std::vector<std::vector<std::int32_t>> answers;
  std::vector<std::size_t> unanswered;
  for (const CheckedPrompt& each : prompts) {
    if (each.prompt->question->answer.empty()) unanswered.push_back(answers.size());
    answers.push_back(each.prompt->question->answer);
  }
  if (unanswered.empty()) return answers;

  GenerationOptions options;
  options.max_new_tokens = longest_own_answer;
  options.batch_tokens = batch_tokens_;
  options.ends = ends_;
  ban(gist_ids_, options.sampling);
  std::size_t begun = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    if (begun == unanswered.size()) return std::nullopt;
    GenerationRequest request;
    request.sequence = prompts[unanswered[begun++]].prompt->question->full_prompt;
    return request;
  };
  events.token = [](std::uint64_t, const std::vector<std::int32_t>&) { return true; };
  events.interrupted = [] { return false; };
  events.done = [&](std::uint64_t request, Completion completion) {
    const std::size_t which = unanswered[request];
    std::vector<std::int32_t>& answer = answers[which];
    answer = std::move(completion.ids);
    if (completion.reason == FinishReason::eos) answer.push_back(completion.end);
    const auto room = static_cast<std::size_t>(prompts[which].prompt->question->room);
    if (answer.size() > room) answer.resize(room);
  };
  generate(reference_, options, events);
  return answers;
}

std::string PromptChecker::refusal(const std::string& id, const Fidelity& found) const {
  if (std::isnan(found.divergence)) {
    return fmt::format(
        "id {}: the logits of its answer, from the whole prompt or through the gist, are not "
        "finite numbers: the models' weights don't work for this input",
        in_quotes(id));
  }
  return fmt::format(
      "id {} compresses badly: its answer's KL divergence from the whole prompt's is {:.4g} nats a "
      "token (of {}), and the limit is {:.4g}; reword, shorten or split the prompt, use it "
      "uncompressed, or raise the limit (--max-kl)",
      in_quotes(id), found.per_label(), found.labels, max_kl());
}

}  // namespace gist
