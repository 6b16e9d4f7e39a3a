#include "formats/sequences/gisting.h"

#include "formats/model/named_templates.h"
#include "kernels/error.h"

namespace gist {

PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer) {
  if (spec.encoder_decoder()) return encoder_template();
  const std::string_view name = chat_template_of(tokenizer).value_or("alpaca");
  return *template_named(name, tokenizer.adds_bos());
}

std::int32_t gist_token_of(const ModelFiles& files) {
  const std::optional<std::int32_t> token = files.tokenizer.gist_token();
  if (!token) {
    fail(ErrorKind::data, "{}: the tokenizer has no {} token: the model was not trained to gist",
         files.path, Tokenizer::gist_token_name);
  }
  return *token;
}

}  // namespace gist
