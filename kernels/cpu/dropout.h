// What dropout draws with, in the form that is compared with random words.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/backend.h"

namespace gist::cpu {

/// A word is a uniform number of 24 bits, as in core/random.h; an element is dropped where its
/// number is below the probability.
struct DropoutDraw {
  explicit DropoutDraw(const Dropout& dropout = {})
      : seed(dropout.seed),
        stream(dropout.stream),
        limit(static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24F))),
        factor(1 / (1 - dropout.probability)) {}

  bool on() const { return limit > 0; }
  /// 0 or 1 / (1 - probability)
  float factor_of(std::uint32_t word) const { return word >> 8 < limit ? 0 : factor; }

  std::uint64_t seed, stream;
  std::uint32_t limit;  // numbers below are dropped
  float factor;         // of what is kept
};

/// Dropout of the probabilities of a tile of attention.
struct TileDropout {
  DropoutDraw draw;
  // Of each column, the index (in fours) of its query head's first element, in two words.
  std::uint32_t* low = nullptr;   // [columns]
  std::uint32_t* high = nullptr;  // [columns]
  std::int32_t* entry = nullptr;  // [block_keys]: which of the key list

  /// `place` is which of [queries, heads] the column is. Each has as many fours as the list needs.
  void set_column(std::int64_t column, std::int64_t place, std::int64_t list) const {
    const auto index = static_cast<std::uint64_t>(place) * static_cast<std::uint64_t>(list / 4 + 1);
    low[column] = static_cast<std::uint32_t>(index);
    high[column] = static_cast<std::uint32_t>(index >> 32);
  }
};

}  // namespace gist::cpu
