// Tokens that a trained model didn't know: their rows in the embedding table and the head.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model.h"

namespace gist {

/// Tokens that follow each other: [first, first + mean_of.size()).
struct NewTokens {
  std::int32_t first = 0;
  /// The rows of which each one's are the mean, all of them below `first`: of one or more. What has
  /// no row in the source is left out, and where nothing remains, the mean is that of all.
  std::vector<std::vector<std::int32_t>> mean_of;

  std::int32_t end() const { return first + static_cast<std::int32_t>(mean_of.size()); }
};

/// One new token, the mean of all rows before it (Hewitt 2021, "Initializing new word embeddings
/// for pretrained language models").
NewTokens mean_of_all(std::int32_t token);

/// The rows [tokens, d] as f32 that new tokens get in a table [rows, d], all of whose rows are
/// known.
std::vector<float> rows_of_new_tokens(const HostTensor& table, const NewTokens& tokens);

/// The source's weights with rows for new tokens in the embedding tables, the head and its bias.
/// `spec` declares them with at least tokens.end() rows; the source has as many, or lacks just the
/// new tokens', as the last, or has `source_rows`: where it lacks rows of other tokens, too, these
/// are the mean of all rows below tokens.first.
WeightSource with_new_tokens(const WeightSource& source, const ModelSpec& spec,
                             const NewTokens& tokens, std::int64_t source_rows = 0);

}  // namespace gist
