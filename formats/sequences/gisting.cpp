#include "formats/sequences/gisting.h"

#include "formats/model/named_templates.h"
#include "kernels/error.h"

namespace gist {

PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer) {
  if (spec.encoder_decoder()) return encoder_template();
  const std::string_view name = chat_template_of(tokenizer).value_or("alpaca");
  return *template_named(name, tokenizer.adds_bos());
}

Gisting trained_gisting(const GistSettings& settings) {
  return {settings.condition, settings.gist_tokens, settings.prompt_template};
}

void check_gist_tokens(const GistSettings& settings, const Gisting& gisting,
                       const std::string& model) {
  const std::int32_t k = gisting.gist_tokens;
  const std::int32_t least = settings.least_gist_tokens, most = settings.gist_tokens;
  if (least == 0 || (least <= k && k <= most)) return;
  if (k == 0 && gisting.condition == Condition::pos) return;
  fail(
      ErrorKind::usage,
      "{}/gist.json: the model was trained with {} gist tokens, not with {} (--gist-tokens); train it "
      "on with that number to use it",
      model, least == most ? fmt::format("{}", most) : fmt::format("{} to {}", least, most), k);
}

GistIds gist_ids_of(const ModelFiles& files) {
  if (files.settings && files.settings->distinct_ids.any()) return files.settings->distinct_ids;
  const std::optional<std::int32_t> token = files.tokenizer.gist_token();
  if (!token) {
    fail(ErrorKind::data, "{}: the tokenizer has no {} token: the model was not trained to gist",
         files.path, Tokenizer::gist_token_name);
  }
  return {*token};
}

}  // namespace gist
