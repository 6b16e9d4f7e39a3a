// The tokenizer of a GGUF model as the files that a Hugging Face directory has of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/gguf/gguf_file.h"

namespace gist {

/// A vocabulary file, and tokenizer_config.json beside it, which lists the added tokens.
struct GgufTokenizer {
  std::string vocabulary;   // the bytes of a tokenizer.json, or of SentencePiece's tokenizer.model
  nlohmann::json json;      // the former, parsed; null of the latter
  nlohmann::json settings;  // tokenizer_config.json

  bool is_json() const { return !json.is_null(); }
};

/// Byte-level BPE ("gpt2") as a tokenizer.json, SentencePiece's BPE ("llama") as its model.
///
/// A GGUF file has one list of tokens. Those at its end that no text becomes by itself (control tokens
/// and user-defined ones; of SentencePiece with the score -1000, which llama.cpp's conversion gives to
/// added tokens) are added tokens, as they were where the model came from; what pads the list to the
/// embedding's rows ("[PAD123]", unused) is left out, so that a new gist token gets the next id.
///
/// Throws Error(data), naming the key, for another kind of tokenizer, for a pre-tokenizer that gist
/// doesn't know by its name, for keys that change ids and that gist can't follow, and for lists that
/// contradict each other.
GgufTokenizer gguf_tokenizer(const GgufFile& file);

/// The ids of tokens that end a text, as llama.cpp takes them: those of the metadata, and control
/// tokens that end a turn by their names.
std::vector<std::int64_t> gguf_end_ids(const GgufFile& file);
/// Nothing where the metadata don't name it.
std::optional<std::int64_t> gguf_bos_id(const GgufFile& file);

}  // namespace gist
