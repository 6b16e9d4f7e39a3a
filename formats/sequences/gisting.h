// Gisting says how prompts are gisted: under which condition, with how many gist tokens, in which
// layout.
#pragma once

#include <cstdint>

#include "core/model.h"
#include "core/visibility.h"
#include "formats/model/model_files.h"
#include "formats/model/named_templates.h"
#include "formats/model/prompt_template.h"
#include "formats/model/tokenizer.h"

namespace gist {

struct Gisting {
  Condition condition = Condition::gist;
  std::int32_t gist_tokens = 0;
  PromptTemplate prompt_template = decoder_template();
};

/// The layout that published checkpoints of the model's kind were trained on: "t5" of an
/// encoder-decoder, the chat layout whose tokens a decoder's tokenizer has, else "alpaca".
PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer);

/// The id of the gist token; throws Error(data) where the tokenizer has none.
std::int32_t gist_token_of(const ModelFiles& files);

}  // namespace gist
