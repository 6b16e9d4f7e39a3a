// A token that a trained model didn't know: its rows in the embedding table and the head.
#pragma once

#include <cstdint>

#include "core/model.h"

namespace gist {

/// The source's weights with a row for token `token`, the first after the tokenizer's: the mean of
/// the rows [0, token), in the embedding tables, the head and its bias (Hewitt 2021, "Initializing
/// new word embeddings for pretrained language models"). `spec` declares them with at least token +
/// 1 rows; the source has as many, or one too few, or `source_rows`: where it lacks rows of other
/// tokens, too, these get the same mean.
WeightSource with_new_token(const WeightSource& source, const ModelSpec& spec, std::int32_t token,
                            std::int64_t source_rows = 0);

}  // namespace gist
