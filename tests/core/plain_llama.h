// LLaMA in loops, one sequence, no engine: an oracle for computations that no golden holds.
#pragma once

#include <vector>

#include "core/batch.h"
#include "tests/core/loaded_model.h"

namespace gist {

enum class Products { f32, bf16 };

/// Logits [n, vocabulary]. With bf16, weights and the other input of each matrix product are
/// rounded to bf16; sums and everything else stay f32.
std::vector<float> plain_logits(const LlamaShape& shape, const Weights& weights,
                                const Sequence& sequence, Condition condition, Products products);

}  // namespace gist
