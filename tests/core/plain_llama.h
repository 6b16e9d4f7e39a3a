// LLaMA in loops, one sequence, no engine: an oracle for computations that no golden holds.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/predict.h"
#include "tests/core/loaded_model.h"

namespace gist {

enum class Products { exact, bf16, bf16_with_attention };

/// Logits [n, vocabulary]. With bf16, weights and the other input of each matrix product are
/// rounded to bf16, with or without those of attention's own products; sums and everything else
/// stay f32.
std::vector<float> plain_logits(const LlamaShape& shape, const Weights& weights,
                                const Sequence& sequence, Condition condition, Products products);

/// The mean loss over all labels, in double precision.
using DoubleWeights = std::map<std::string, std::vector<double>>;
double plain_loss(const LlamaShape& shape, const DoubleWeights& weights,
                  std::span<const LabelledSequence> sequences);

}  // namespace gist
