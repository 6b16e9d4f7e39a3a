// Dropout draws with these numbers (kernels/philox.h), in the form that is compared with random
// words. Its functions are constexpr: CUDA kernels call them, too.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/ops/dropout.h"
#include "kernels/philox.h"

namespace gist {

/// A word is a uniform number of 24 bits, as in core/random.h; an element is dropped where its
/// number is below the probability.
struct DropoutDraw {
  std::uint64_t seed = 0, stream = 0;
  std::uint32_t limit = 0;  // numbers below are dropped
  float factor = 1;         // of what is kept

  constexpr bool on() const { return limit > 0; }
  /// The words of the elements [4 index, 4 index + 4).
  constexpr std::array<std::uint32_t, 4> words(std::uint64_t index) const {
    return philox_words(seed, dropout_counter(stream, index));
  }
  constexpr bool keeps(std::uint32_t word) const { return word >> 8 >= limit; }
  /// 0 or 1 / (1 - probability)
  constexpr float factor_of(std::uint32_t word) const { return keeps(word) ? factor : 0; }
};

inline DropoutDraw dropout_draw(const Dropout& dropout) {
  return {dropout.seed, dropout.stream,
          static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24F)),
          1 / (1 - dropout.probability)};
}

}  // namespace gist
