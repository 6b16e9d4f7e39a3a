#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[m, d] = table[ids[m], d].
struct Embedding {
  static constexpr const char* name = "embedding";
  Tensor table;  // f32, bf16 or f16
  Tensor ids;    // i32, each a row of the table
  Tensor y;
};

/// dtable[ids[i]] += dy[i].
struct EmbeddingBackward {
  static constexpr const char* name = "embedding_backward";
  Tensor ids;
  Tensor dy;
  Tensor dtable;
};

void check(const Embedding& op);
void check(const EmbeddingBackward& op);
OpCost cost(const Embedding& op);
OpCost cost(const EmbeddingBackward& op);

}  // namespace gist::ops
