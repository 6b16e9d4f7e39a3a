// Dropout as its definition says it, one element after the other.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/philox.h"

namespace gist::test {

/// Returns the factor of element `index`.
inline double dropout_factor(const Dropout& dropout, std::uint64_t index) {
  if (dropout.probability == 0) return 1;
  const auto words = philox_words(dropout.seed, dropout_counter(dropout.stream, index / 4));
  const double uniform = (words[index % 4] >> 8) * 0x1p-24;
  return uniform < double{dropout.probability} ? 0 : 1 / (1 - double{dropout.probability});
}

}  // namespace gist::test
