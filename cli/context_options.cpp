#include "cli/context_options.h"

#include <limits>

#include "cli/store_options.h"
#include "kernels/error.h"

namespace gist {

std::vector<OptionSpec> context_options() {
  return {{"store", OptionKind::text, "STORE", "", "answer from the gists stored here"},
          {"condition", OptionKind::text, "NAME", "",
           "gist, pos or neg, for records with \"instruction\"; by default gist.json says it"},
          {"gist-tokens", OptionKind::integer, "K", "",
           "gist tokens after each instruction; by default gist.json says it"},
          {"allow-mismatch", OptionKind::flag, "", "",
           "use a store that was made with another model of the same shape"},
          store_cache_option(),
          trust_store_option()};
}

ContextRequest context_request(const Options& options) {
  ContextRequest request;
  request.allow_mismatch = options.flag("allow-mismatch");
  if (options.has("store")) {
    refuse_gisting_beside_store(options);
    request.store = options.text("store");
    request.reading = store_reading(options);
    return request;
  }
  if (request.allow_mismatch) fail(ErrorKind::usage, "--allow-mismatch needs --store");
  request.gisting = gisting_request(options);
  return request;
}

ContextSource context_source(const ContextRequest& request, const ModelFiles& files,
                             const ModelSpec& spec) {
  ContextSource source;
  if (request.store) {
    source.store = *request.store;
    source.reading = request.reading;
    source.allow_mismatch = request.allow_mismatch;
    return source;
  }
  // {"text"} records need neither options nor gist.json.
  GistingRequest gisting = request.gisting;
  if (!gisting.condition && !gisting.gist_tokens && !files.settings) return source;
  // A model that was never trained to gist reads whole prompts as they are.
  if (!files.settings && !gisting.gist_tokens && gisting.condition == Condition::pos) {
    gisting.gist_tokens = 0;
  }
  source.gisting = gisting_of(gisting, files, spec);
  return source;
}

GenerationOptions generation_limits(const Options& options) {
  GenerationOptions result;
  result.max_new_tokens = static_cast<std::int32_t>(options.integer("max-new-tokens", 1, 1 << 20));
  result.max_rows = static_cast<std::int32_t>(options.integer("batch-rows", 1, 1 << 16));
  result.batch_tokens = static_cast<std::int32_t>(options.integer("batch-tokens", 1, 1 << 28));
  return result;
}

GenerationOptions generation_options(const Options& options) {
  GenerationOptions result = generation_limits(options);
  result.sampling.temperature = static_cast<float>(options.real("temperature", 0, 1e6));
  result.sampling.top_k = static_cast<std::int32_t>(options.integer("top-k", 0, 1 << 30));
  result.sampling.top_p = static_cast<float>(options.real("top-p", 0, 1));
  if (result.sampling.top_p == 0) {
    fail(ErrorKind::usage, "--top-p: expected a number above 0, and at most 1");
  }
  result.seed = static_cast<std::uint64_t>(
      options.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  return result;
}

}  // namespace gist
