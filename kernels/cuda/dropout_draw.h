// What dropout draws with (kernels/philox.h), in the form that is compared with random words.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/philox.h"

namespace gist::cuda {

/// A word is a uniform number of 24 bits; an element is dropped where its number is below the
/// probability.
struct DropoutDraw {
  explicit DropoutDraw(const Dropout& dropout)
      : seed(dropout.seed),
        stream(dropout.stream),
        limit(static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24F))),
        factor(1 / (1 - dropout.probability)) {}

  __device__ bool on() const { return limit > 0; }
  /// The words of the elements [4 index, 4 index + 4).
  __device__ std::array<std::uint32_t, 4> words(std::uint64_t index) const {
    return philox_words(seed, dropout_counter(stream, index));
  }
  /// 0 or 1 / (1 - probability)
  __device__ float factor_of(std::uint32_t word) const { return word >> 8 < limit ? 0 : factor; }

  std::uint64_t seed, stream;
  std::uint32_t limit;  // numbers below are dropped
  float factor;         // of what is kept
};

}  // namespace gist::cuda
