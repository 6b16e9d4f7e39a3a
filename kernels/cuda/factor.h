// Factors of matrix products in the dtype that products are computed in.
#pragma once

#include "kernels/cuda/half.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/scratch_pieces.h"

namespace gist::cuda {

/// Queues y = x rounded. x: f32; y: bf16, with as many elements.
void round_to_bf16(Device& device, const Tensor& x, Bf16* y);

/// FactorMemory is what a factor needs of a call's scratch memory.
class FactorMemory {
 public:
  /// `largest` and all that is made here have the same dtype.
  FactorMemory(const Context& context, const Tensor& largest, ScratchPieces& pieces)
      : dtype_(context.dtype) {
    if (largest.dtype != dtype_) piece_ = pieces.add<Bf16>(largest.shape.elements());
  }

  /// x where it stands, or else queues what rounds it.
  Tensor make(Device& device, const Tensor& x, std::byte* memory) const {
    if (x.dtype == dtype_) return x;
    round_to_bf16(device, x, piece_.in(memory));
    return {piece_.in(memory), dtype_, x.shape};
  }

 private:
  Dtype dtype_;
  ScratchPiece<Bf16> piece_;
};

}  // namespace gist::cuda
