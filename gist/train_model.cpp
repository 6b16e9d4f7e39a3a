#include "gist/train_model.h"

#include <algorithm>
#include <utility>

#include "core/new_token.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* vocabulary_key = "vocab_size";

}  // namespace

std::int32_t BaseModel::gist_token() const {
  return tokenizer.gist_token().value_or(tokenizer.size());
}

BaseModel base_from_model(ModelFiles files) {
  BaseModel base{files.path,
                 files.path,
                 files.path,
                 std::move(files.tokenizer),
                 std::move(files.ends),
                 std::move(files.checkpoint),
                 std::move(files.settings),
                 std::move(files.config)};
  if (base.settings) base.ignored_tensors = base.settings->ignored_tensors;
  base.ignored_tensors.insert(base.ignored_tensors.end(), files.ignored_tensors.begin(),
                              files.ignored_tensors.end());
  return base;
}

BaseModel base_from_config(const std::filesystem::path& config,
                           const std::filesystem::path& tokenizer) {
  nlohmann::json content = read_json_object(config);
  Tokenizer opened = Tokenizer::open(tokenizer);
  EndTokens ends = end_tokens("", content, opened);
  return {config.string(), tokenizer,    {},           std::move(opened),
          std::move(ends), std::nullopt, std::nullopt, std::move(content)};
}

void fit_vocabulary(BaseModel& base, bool with_gist_token) {
  const auto found = base.config.find(vocabulary_key);
  if (found == base.config.end() || !found->is_number_integer()) {
    fail(ErrorKind::data, "{}: the configuration lacks \"{}\", a whole number", base.name,
         vocabulary_key);
  }
  base.rows = found->get<std::int64_t>();
  const bool adds = with_gist_token && base.gist_token_is_new();
  // Padding tokens may have no row; those of the vocabulary file and a gist that is there have one.
  const std::int32_t tokens = with_gist_token && !adds
                                  ? std::max(base.tokenizer.pieces(), base.gist_token() + 1)
                                  : base.tokenizer.pieces();
  if (base.rows < tokens) {
    fail(ErrorKind::data,
         "{}: {} has {} tokens, but the configuration's vocab_size is {}: they don't belong "
         "together",
         base.name, base.tokenizer.path().string(), base.tokenizer.size(), base.rows);
  }
  if (adds) *found = std::max<std::int64_t>(base.rows, std::int64_t{base.gist_token()} + 1);
}

void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
          bool with_gist_token, std::uint64_t seed) {
  if (!base.checkpoint) {
    initialise(parameters, seed);
    return;
  }
  const WeightSource source = under_declared_names(base.checkpoint->source(), spec);
  const bool added = with_gist_token && base.gist_token_is_new();
  load(parameters, added ? with_new_token(source, spec, base.gist_token(), base.rows) : source);
}

std::string fingerprint_of(const BaseModel& base) {
  const std::string weights = base.checkpoint ? model_sha256(*base.checkpoint) : "";
  return to_hex(sha256(weights + base.config.dump() + base.tokenizer.sha256()));
}

}  // namespace gist
