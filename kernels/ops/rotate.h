// Rotary position embedding (Su et al. 2021).
#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// Which dimensions of a head form a pair that is rotated together: (i, i + rotary_dims / 2), as
/// Hugging Face stores LLaMA, or (2 i, 2 i + 1).
enum class RopePairs : std::uint8_t { half, interleaved };
/// `backward` rotates by the negative angle: the gradient of `forward`.
enum class RotateDirection : std::uint8_t { forward, backward };

namespace ops {

/// rotation[m, 2, pairs] = the cosines, then the sines, of the angles positions[m] *
/// inv_freq[pairs], in f32, times `scale` (yarn's attention factor).
struct Rotation {
  static constexpr const char* name = "rotation";
  Tensor positions;  // i32
  Tensor inv_freq;
  float scale = 1;
  Tensor rotation;
};

/// y[m, heads, dim] = x with the first 2 * pairs dimensions of each head rotated by rotation[m,
/// 2, pairs], and the others as they are. y may be x.
struct Rotate {
  static constexpr const char* name = "rotate";
  Tensor x;
  Tensor rotation;
  RopePairs pairs;
  RotateDirection direction;
  Tensor y;
};

void check(const Rotation& op);
void check(const Rotate& op);
OpCost cost(const Rotation& op);
OpCost cost(const Rotate& op);

}  // namespace ops
}  // namespace gist
