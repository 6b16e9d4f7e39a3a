// The post-processor of a tokenizer.json: which tokens it puts around a text. gist's templates say
// that themselves, so no more is read of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/tokenizer_json/json_part.h"

namespace gist {

struct SurroundingTokens {
  std::vector<std::int32_t> before, after;  // ids
};

/// Of null: none. Throws Error(data) for what gist doesn't know.
SurroundingTokens surrounding_tokens(const JsonPart& post_processor);

}  // namespace gist
