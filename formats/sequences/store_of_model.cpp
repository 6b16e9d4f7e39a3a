#include "formats/sequences/store_of_model.h"

#include <string>

#include "formats/files/json_text.h"
#include "formats/model/fingerprint.h"
#include "formats/sequences/gisting.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::string creator() {
  return "gist " GIST_VERSION;
}

/// The ids of gist tokens as a store's header names them; a model that has none yet would get one.
/// Distinct ones are those of the model, whichever k the store's rows have.
GistIds header_ids(const ModelFiles& files) {
  if (files.settings && files.settings->distinct_ids.any()) return files.settings->distinct_ids;
  return {files.tokenizer.gist_token().value_or(files.tokenizer.size())};
}

/// "<GIST>", or "<GIST>..<GIST3>".
std::string in_words(const GistIds& ids) {
  std::string text = Tokenizer::gist_token_text(0);
  if (ids.distinct()) text += ".." + Tokenizer::gist_token_text(ids.count - 1);
  return text;
}

/// What stores call it.
const char* stored_name(KeyPosition position) {
  switch (position) {
    case KeyPosition::none:
      return "none";
    case KeyPosition::rotated:
      return "pre-rope";
    case KeyPosition::absolute:
      return "absolute";
  }
  fail(ErrorKind::internal, "key position {} has no name", static_cast<int>(position));
}

}  // namespace

StoreHeader store_header(const ModelFiles& files, const ModelSpec& spec, Condition condition,
                         std::int32_t gist_tokens, const PromptTemplate& prompt_template) {
  const StackSpec& stack = spec.stacks[0];
  StoreHeader header;
  header.creator = creator();
  header.family = spec.family;
  header.architecture = spec.architecture;
  header.n_layers = stack.layers;
  header.n_kv_heads = stack.kv_heads;
  header.key_dim = stack.key_dim;
  header.value_dim = stack.value_dim;
  header.d_model = spec.d_model;
  header.key_position = stored_name(spec.key_position);
  const GistIds ids = header_ids(files);
  header.gist_token = in_words(ids);
  header.gist_token_id = ids.first;
  header.gist_tokens = gist_tokens;
  header.prompt_template = prompt_template.json().dump();
  header.condition = name_of(condition);
  header.model_sha256 = model_sha256(files.checkpoint);
  header.tokenizer_sha256 = files.base_tokenizer_sha256;
  if (files.adapter) header.adapter_sha256 = model_sha256(files.adapter->checkpoint);
  return header;
}

void check_made_with(const StoreHeader& header, const std::string& name, const ModelFiles& files,
                     const ModelSpec& spec, bool allow_mismatch) {
  const PromptTemplate ours =
      files.settings ? files.settings->prompt_template : default_template(spec, files.tokenizer);
  const StoreHeader model = store_header(files, spec, Condition::gist, 0, ours);
  StoreHeader found = header;
  // A store may choose how many tokens a row has, and under which condition they were made.
  found.condition = model.condition;
  found.gist_tokens = model.gist_tokens;
  found.adapter_sha256 = model.adapter_sha256;  // the model answers from its gists as it is
  if (parse_json(found.prompt_template, name + ": attribute template") == ours.json()) {
    found.prompt_template = model.prompt_template;
  }
  if (allow_mismatch) {
    found.family = model.family;
    found.architecture = model.architecture;
    found.gist_token = model.gist_token;
    found.gist_token_id = model.gist_token_id;
    found.prompt_template = model.prompt_template;
    found.model_sha256 = model.model_sha256;
    found.tokenizer_sha256 = model.tokenizer_sha256;
  }
  const std::string difference = header_difference(found, model, false);
  if (difference.empty()) return;
  fail(ErrorKind::data, "{} was not made with {}: {} (store, model){}", name, files.path,
       difference,
       allow_mismatch ? "" : "; compress the prompts with this model, or name the store's model");
}

}  // namespace gist
