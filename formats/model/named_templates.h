// The layouts of prompts that have a name: what published models were trained on. Each is data, a
// list of pieces as formats/model/prompt_template.h reads it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/model/prompt_template.h"
#include "formats/model/tokenizer.h"

namespace gist {

struct NamedTemplate {
  std::string_view name;
  std::string_view about;  // what it is for, in a line
  std::string_view json;   // the list of pieces
};

/// All of them, in the order in which they are listed.
std::span<const NamedTemplate> named_templates();

/// The layout of this name, or nothing. `with_bos`: whether texts begin with bos; "alpaca" goes by
/// it, the others say for themselves.
std::optional<PromptTemplate> template_named(std::string_view name, bool with_bos);

/// "alpaca": what decoders have where nothing else is said.
PromptTemplate decoder_template();
/// "t5": what encoder-decoders have. The lone "▁" before the gist comes from a newline that stood
/// there when the published checkpoints were trained.
PromptTemplate encoder_template();

/// The chat layout whose special tokens the tokenizer has ("chatml" where it has <|im_start|> and
/// <|im_end|>), or nothing.
std::optional<std::string_view> chat_template_of(const Tokenizer& tokenizer);

}  // namespace gist
