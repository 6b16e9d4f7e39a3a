// What operations cost, whatever computes them.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/tensor.h"

namespace gist {

/// What an operation cost so far. A multiplication and an addition are two FLOPs; element-wise
/// operations count one FLOP an element and operation. `flops` counts attention by the pairs of
/// query and key that see each other: that much must be computed. (A kernel that works in tiles
/// computes the hidden pairs of a tile as well of which it needs one: up to a tile's edge more,
/// which depends on the device and is not counted.) `dense_flops` counts it as without a mask:
/// every query of a row with every key that the row lists, n x n for a sequence.
struct OpCost {
  std::int64_t calls = 0;
  std::int64_t flops = 0;
  std::int64_t dense_flops = 0;  // the same as flops but for attention
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;

  OpCost& operator+=(const OpCost& other);
};

/// One call with so many FLOPs that reads and writes these tensors, of which some may have no data,
/// and reads `also_read` bytes besides.
OpCost one_call(std::int64_t flops, std::initializer_list<const Tensor*> read,
                std::initializer_list<const Tensor*> written, std::int64_t also_read = 0);

}  // namespace gist
