#include "cli/train_model.h"

#include <utility>

#include "core/new_token.h"
#include "formats/json_text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* vocabulary_key = "vocab_size";

}  // namespace

std::int32_t BaseModel::gist_token() const {
  return tokenizer.gist_token().value_or(tokenizer.size());
}

BaseModel base_model(const Options& options) {
  if (options.has("model") == options.has("init")) {
    fail(ErrorKind::usage, "give either --model DIR, or --init CONFIG.json --tokenizer FILE");
  }
  if (options.has("init") != options.has("tokenizer")) {
    fail(ErrorKind::usage, "--init and --tokenizer belong together");
  }
  if (options.has("model")) {
    const std::filesystem::path directory = options.text("model");
    return {directory.string(),
            directory,
            directory,
            Tokenizer::open(directory),
            Checkpoint(directory),
            read_gist_json(directory),
            read_config_json(directory)};
  }
  const std::filesystem::path config = options.text("init");
  const std::filesystem::path tokenizer = options.text("tokenizer");
  return {config.string(),
          tokenizer,
          {},
          Tokenizer::open(tokenizer),
          std::nullopt,
          std::nullopt,
          read_json_object(config)};
}

void fit_vocabulary(BaseModel& base, bool with_gist_token) {
  const auto found = base.config.find(vocabulary_key);
  if (found == base.config.end() || !found->is_number_integer()) {
    fail(ErrorKind::data, "{}: the configuration lacks \"{}\", a whole number", base.name,
         vocabulary_key);
  }
  const auto rows = found->get<std::int64_t>();
  const std::int32_t tokens = with_gist_token ? base.gist_token() : base.tokenizer.size();
  if (rows < tokens) {
    fail(ErrorKind::data,
         "{}: {} has {} tokens, but the configuration's vocab_size is {}: they don't belong "
         "together",
         base.name, base.tokenizer.path().string(), tokens, rows);
  }
  if (with_gist_token && rows == tokens) *found = tokens + 1;
}

void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
          bool with_gist_token, std::uint64_t seed) {
  if (!base.checkpoint) {
    initialise(parameters, seed);
    return;
  }
  const WeightSource source = under_declared_names(base.checkpoint->source(), spec);
  const bool added = with_gist_token && base.gist_token_is_new();
  load(parameters, added ? with_new_token(source, spec, base.gist_token()) : source);
}

}  // namespace gist
