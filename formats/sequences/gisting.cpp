#include "formats/sequences/gisting.h"

#include "kernels/error.h"

namespace gist {

PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer) {
  return spec.encoder_decoder() ? PromptTemplate::encoder_default()
                                : PromptTemplate::decoder_default(tokenizer.adds_bos());
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
