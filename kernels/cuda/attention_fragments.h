// Products of tiles of rows in bf16 on tensor cores. A block's four warps have 16 rows each; their
// fragments are those of tensor_core.h.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/attention_products.h"
#include "kernels/cuda/tensor_core.h"

namespace gist::cuda {

constexpr int fragment_rows = 16;
constexpr int fragment_lanes = 4;  // that have a row's elements

/// Between rows of a tile: 16 bytes more than there are elements, so that the 8 rows that are
/// loaded at once lie in different banks.
constexpr int bf16_stride(int dim) {
  return dim + 8;
}

/// Where a thread's elements of its warp's fragments stand in tiles.
struct FragmentThread {
  /// The thread of a tile of `rows` rows: where they are less than the warps' together, those share
  /// them.
  __device__ explicit FragmentThread(int rows = tile_threads / warp_size * fragment_rows)
      : FragmentThread(rows, static_cast<int>(threadIdx.x) / warp_size * fragment_rows) {}

  int lane = static_cast<int>(threadIdx.x) % warp_size;
  int first_row;  // the warp's
  int part;       // which of the warps that share them it is

  /// A thread has elements of two rows, and in each of them pairs of columns: element i of row r is
  /// element 2 r + i % 2 of the fragment i / 2.
  __device__ int row(int r) const { return first_row + lane / 4 + 8 * r; }
  __device__ int column(int i) const { return i / 2 * 8 + lane % 4 * 2 + i % 2; }

  /// The rows that this lane names for load_matrices: [16, 16] elements become the matrices 0: 8
  /// rows, 1: the 8 below, 2: right of 0, 3: right of 1.
  __device__ int down(int dim) const { return lane % 16 * bf16_stride(dim) + lane / 16 * 8; }
  /// The same with 1 and 2 exchanged.
  __device__ int across(int dim) const {
    return (lane / 16 * 8 + lane % 8) * bf16_stride(dim) + lane / 8 % 2 * 8;
  }

 private:
  __device__ FragmentThread(int rows, int row) : first_row(row % rows), part(row / rows) {}
};

/// Starts to copy to[rows, dim] from source(row); zeros for rows from `count` on.
template <int rows, int dim, typename Source>
__device__ void copy_rows(const SharedArray<Bf16>& to, int count, Source source) {
  constexpr int across = dim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < rows * across; i += tile_threads) {
    const int row = i / across, at = i % across * 8;
    copy_async(to, row * bf16_stride(dim) + at, source(min(row, count - 1)) + at, row < count);
  }
}

/// products[n] = a's rows of the warp times b's rows [8 n, 8 n + 8); a, b: [.., dim].
template <int dim, int N>
__device__ void multiply_rows(const FragmentThread& at, const SharedArray<Bf16>& a,
                              const SharedArray<Bf16>& b, float (&products)[N][4]) {
  unrolled<4 * N>([&](auto i) { products[i / 4][i % 4] = 0; });
  for (int d = 0; d < dim; d += 16) {
    unsigned of_a[4];
    load_matrices(of_a, a, at.first_row * bf16_stride(dim) + at.down(dim) + d);
    unrolled<N / 2>([&](auto n) {
      unsigned of_b[4];
      load_matrices(of_b, b, 16 * n * bf16_stride(dim) + at.across(dim) + d);
      multiply_add(products[2 * n], of_a, of_b[0], of_b[1]);
      multiply_add(products[2 * n + 1], of_a, of_b[2], of_b[3]);
    });
  }
}

/// A thread's elements of rows [16, 16 K] of sums become those of a factor.
template <int K>
__device__ void pack_rows(const float (&rows)[2][4 * K], unsigned (&factor)[K][4]) {
  unrolled<4 * K>([&](auto i) {
    constexpr int row = i % 2, first = i / 2 * 2;
    factor[i / 4][i % 4] = pack_bf16(rows[row][first], rows[row][first + 1]);
  });
}

/// sums[d] += weights b's columns [8 d, 8 d + 8); weights: fragments of [16, 16 K]; b: [16 K, dim].
template <int dim, int K, int N>
__device__ void add_products(const FragmentThread& at, const unsigned (&weights)[K][4],
                             const SharedArray<Bf16>& b, float (&sums)[N][4]) {
  unrolled<K * N / 2>([&](auto i) {
    constexpr int k = decltype(i)::value / (N / 2), d = decltype(i)::value % (N / 2);
    unsigned of_b[4];
    load_matrices_transposed(of_b, b, 16 * k * bf16_stride(dim) + at.down(dim) + 16 * d);
    multiply_add(sums[2 * d], weights[k], of_b[0], of_b[1]);
    multiply_add(sums[2 * d + 1], weights[k], of_b[2], of_b[3]);
  });
}

}  // namespace gist::cuda
