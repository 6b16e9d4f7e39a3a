// Gisting says how prompts are gisted: under which condition, with how many gist tokens, in which
// layout.
#pragma once

#include <cstdint>
#include <string>

#include "core/gist_ids.h"
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

/// The gisting with which gist.json says that the model was trained, with the most gist tokens.
Gisting trained_gisting(const GistSettings& settings);
/// Throws Error(usage), `model` first, where the model was not trained with so many gist tokens:
/// where gist.json says for which it was. Whole prompts, under pos, may be without any.
void check_gist_tokens(const GistSettings& settings, const Gisting& gisting,
                       const std::string& model);

/// The ids of the model's gist tokens: those that gist.json lists, or the tokenizer's <GIST>, which
/// is repeated. Throws Error(data) where the tokenizer has none.
GistIds gist_ids_of(const ModelFiles& files);

}  // namespace gist
