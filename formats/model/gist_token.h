// The tokenizer of a model that gist trains: the source's, and <GIST>, <GIST1>, ... where the model
// gists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/gist_ids.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// The ids of `count` distinct gist tokens, at least 1: those that the tokenizer has, then the next
/// that are free. Throws Error(data) where they would not follow each other, as other tokens stand
/// behind those that it has.
GistIds gist_ids_in(const Tokenizer& tokenizer, std::int32_t count);

/// Writes into the directory `target`, which exists, what transformers and Tokenizer::open read.
///
/// `source` is a Hugging Face directory, whose vocabulary, added_tokens.json,
/// special_tokens_map.json, tokenizer_config.json and tokenizer.json are copied where they exist;
/// or what gguf_file_of (model_kind.h) takes for a GGUF file, which becomes the files of such a
/// directory; or a vocabulary file: a tokenizer.json; or a SentencePiece file, written as
/// tokenizer.model with the settings of a LlamaTokenizer, or, if it has no bos, as spiece.model
/// with those of a T5Tokenizer without extra ids; special tokens are the file's.
///
/// `gist_tokens` is how many of <GIST>, <GIST1>, ... the model has. Those that the tokenizer lacks
/// get the ids of gist_ids_in, in the JSON files as Hugging Face writes them, which then list all
/// added tokens. A tokenizer.json beside a SentencePiece file that would give the tokens other ids,
/// as it counts its pieces, is left out (transformers makes a fast tokenizer from the others as
/// well): the answer is its name, for a warning.
///
/// Throws as Tokenizer::open and gist_ids_in; Error(data) where tokenizer_config.json lists no
/// tokens where it should; Error(cannot_create) and Error(io) where writing fails.
[[nodiscard]] std::vector<std::string> write_tokenizer(const std::filesystem::path& source,
                                                       const std::filesystem::path& target,
                                                       std::int32_t gist_tokens);

}  // namespace gist
