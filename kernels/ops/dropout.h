#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// Elements become 0 with this probability, or else grow by 1 / (1 - probability). Which ones is
/// drawn from a counter (kernels/philox.h): a function of seed, stream and the element's index
/// alone. Streams tell the dropouts of a model and the steps of a run apart.
struct Dropout {
  float probability = 0;  // within [0, 1)
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

namespace ops {

/// y[i] = x[i] * (0 or 1 / (1 - probability)). The same call on dy gives dx.
struct Dropout {
  static constexpr const char* name = "dropout";
  Tensor x;
  gist::Dropout dropout;
  Tensor y;
};

void check(const Dropout& op);
OpCost cost(const Dropout& op);

}  // namespace ops
}  // namespace gist
