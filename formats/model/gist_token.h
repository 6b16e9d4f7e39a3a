// The tokenizer of a model that gist trains: the source's, and <GIST> where the model gists.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gist {

/// Writes into the directory `target`, which exists, what transformers and Tokenizer::open read.
///
/// `source` is a Hugging Face directory, whose vocabulary, added_tokens.json,
/// special_tokens_map.json, tokenizer_config.json and tokenizer.json are copied where they exist;
/// or what gguf_file_of (model_kind.h) takes for a GGUF file, which becomes the files of such a
/// directory; or a vocabulary file: a tokenizer.json; or a SentencePiece file, written as
/// tokenizer.model with the settings of a LlamaTokenizer, or, if it has no bos, as spiece.model with
/// those of a T5Tokenizer without extra ids; special tokens are the file's.
///
/// With `with_gist_token` a tokenizer that has no <GIST> gets it, its id the tokenizer's size
/// (added tokens included), in the JSON files as Hugging Face writes it, which then list all added
/// tokens. A tokenizer.json beside a SentencePiece file that would give the tokens other ids, as it
/// counts its pieces, is left out (transformers makes a fast tokenizer from the others as well): the
/// answer is its name, for a warning.
///
/// Throws as Tokenizer::open; Error(data) where tokenizer_config.json lists no tokens where it
/// should; Error(cannot_create) and Error(io) where writing fails.
[[nodiscard]] std::vector<std::string> write_tokenizer(const std::filesystem::path& source,
                                                       const std::filesystem::path& target,
                                                       bool with_gist_token);

}  // namespace gist
