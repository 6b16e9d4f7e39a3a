// End tokens are those with which a text ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/model/tokenizer.h"

namespace gist {

struct EndTokens {
  std::vector<std::int32_t> ids;  // each ends a text; none: nothing does
  /// `written` is what a model learns to write behind its answers: the eos that the tokenizer
  /// writes, or, where that ends nothing, the first of `ids` that the embedding table has.
  std::optional<std::int32_t> written;
};

/// "eos_token_id", a number or a list, of generation_config.json in the directory ("" for none),
/// else that of the model's configuration, else the tokenizer's eos. Throws Error(data) where it is
/// something else.
EndTokens end_tokens(const std::filesystem::path& directory, const nlohmann::json& config,
                     const Tokenizer& tokenizer);

}  // namespace gist
