#include "cli/prompt_check_options.h"

#include <charconv>
#include <utility>

#include "cli/model_options.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

PromptCheckTask prompt_check_task(const Options& options) {
  PromptCheckTask task;
  const std::string count = options.text("check");
  if (count != "all") {
    std::size_t number = 0;
    const char* const end = count.data() + count.size();
    const auto [stop, error] = std::from_chars(count.data(), end, number);
    if (error != std::errc() || stop != end || number == 0) {
      fail(ErrorKind::usage, "--check: expected all, or how many prompts, found {}",
           in_quotes(count));
    }
    if (options.flag("line-buffered")) {
      fail(ErrorKind::usage,
           "--check {} draws from the whole input, and --line-buffered answers before it has come: "
           "give --check all",
           number);
    }
    task.sample = number;
  }
  if (options.has("max-kl")) task.max_kl = options.real("max-kl", 0, 1e9);
  return task;
}

}  // namespace

std::vector<OptionSpec> prompt_check_options() {
  return {
      {"check", OptionKind::text, "N|all", "",
       "answer prompts twice before they are stored, from the whole text and from what is stored, "
       "and say how far the answers are apart. Takes a pass over prompt, \"input\" and "
       "\"output\", and one over the last two; without \"output\" the whole prompt's own answer, "
       "of up to 24 tokens, is generated first, which takes longer. N are those whose ids have the "
       "smallest SHA-256: the input is read whole to find them"},
      {"max-kl", OptionKind::real, "X", "",
       "reject a checked prompt whose answer is further off: the KL divergence of next-token "
       "distributions, in nats, in the mean of the answer's tokens; gist evaluate --fidelity on the "
       "model's training data suggests a value"},
      {"check-model", OptionKind::text, "DIR", "",
       "the model that answers from the whole text, loaded beside the other: best one trained "
       "under pos from the same base. By default the model itself, which in training under gist "
       "may have forgotten to read what stands before its gist"},
      {"check-report", OptionKind::text, "FILE", "",
       "a JSON line for each checked prompt: id, ordinal, kl, tokens, agreement, status"}};
}

std::optional<PromptCheckRequest> prompt_check_request(const Options& options) {
  if (!options.has("check")) {
    for (const char* name : {"max-kl", "check-model", "check-report"}) {
      if (options.has(name)) fail(ErrorKind::usage, "--{} needs --check N or --check all", name);
    }
    return std::nullopt;
  }
  PromptCheckRequest request{prompt_check_task(options), std::nullopt};
  if (options.has("check-model")) request.model = options.text("check-model");
  return request;
}

std::unique_ptr<WholePromptModel> whole_prompt_model(
    const std::optional<PromptCheckRequest>& request, const ModelFiles& files,
    const ModelSpec& spec, const CompressionTask& task, const ModelSetup& setup) {
  if (!request) return nullptr;
  std::optional<ModelFiles> other;
  if (request->model) {
    other.emplace(open_model_and_tell(*request->model, without_adapter(setup)));
  }
  return std::make_unique<WholePromptModel>(files, spec, task, request->task, std::move(other),
                                            setup);
}

}  // namespace gist
