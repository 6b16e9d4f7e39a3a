// Sums that every row of a tensor adds to: gradients of what all rows are multiplied by.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {

/// Calls row(i, sums), which adds row i's part to sums[width], for each of `rows`, and then, one after
/// the other, add(sums) for each block of rows. Blocks have sums of their own, zeros before, and are
/// added in order: the result doesn't depend on the number of threads, and no sum is long enough to
/// lose digits. Takes the context's scratch memory.
template <typename Row, typename Add>
void sum_over_rows(Context& context, std::int64_t rows, std::int64_t width, const Row& row,
                   const Add& add) {
  constexpr std::int64_t block_rows = 64;
  const std::int64_t blocks = (rows + block_rows - 1) / block_rows;
  auto* sums = context.scratch.reserve_array<float>(static_cast<std::size_t>(blocks * width));
  parallel_ranges(context.threads, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      float* const of_block = sums + b * width;
      std::fill_n(of_block, width, 0.0F);
      for (std::int64_t i = b * block_rows; i < std::min(rows, (b + 1) * block_rows); ++i) {
        row(i, of_block);
      }
    }
  });
  for (std::int64_t b = 0; b < blocks; ++b) add(sums + b * width);
}

inline void add_to(const Tensor& total, const float* sums) {
  auto* values = static_cast<float*>(total.data);
  for (std::int64_t i = 0; i < total.shape.elements(); ++i) values[i] += sums[i];
}

}  // namespace gist::cpu
