// What pre-tokenizers and decoders of the type Metaspace have in common: spaces are seen as another
// character, and one may be put before the text.
#pragma once

#include <cstdint>
#include <string>

#include "formats/tokenizer_json/json_part.h"

namespace gist {

struct MetaspaceSettings {
  enum class Prepend : std::uint8_t {
    always,  // before each part of the text between added tokens
    first,   // before the part that the text begins with
    never
  };
  std::string replacement;  // one character
  Prepend prepend = Prepend::always;
};

/// Throws Error(data) for what gist doesn't know.
MetaspaceSettings metaspace_settings(const JsonPart& part);

}  // namespace gist
