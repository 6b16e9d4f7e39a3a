// Dropout of attention's probabilities, as a tile draws it.
#pragma once

#include <cstdint>

#include "kernels/dropout_draw.h"

namespace gist::cpu {

/// Dropout of the probabilities of a tile of attention.
struct TileDropout {
  DropoutDraw draw;
  // For each column, the index (in fours) of its query head's first element, in two words.
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
