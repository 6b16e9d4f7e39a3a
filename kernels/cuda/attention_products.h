// The matrix products that attention's tiles are made of. A block of 128 threads stands as 8 x 16:
// thread (y, x) has the rows y + 8 i of its block's own tile, and against them the rows x + 16 j of
// the other tile, or the pairs of elements x + 16 c of its rows. Rows of products are written and
// read within one warp.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>
#include <utility>

#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/shared_memory.h"

namespace gist::cuda {

constexpr int tile_threads = 128;
constexpr int tile_lanes = 16;  // threads a row
constexpr int tile_height = tile_threads / tile_lanes;

/// Between rows of a tile, in fours: one more than there are elements, so that rows side by side
/// start in other banks.
constexpr int stride_of(int dim) {
  return dim / 4 + 1;
}

/// Rows of `dim` elements in shared memory, read in fours or in twos.
struct TileRows {
  SharedArray<float4> fours;
  SharedArray<float2> twos;
};

/// Cuts two views of each array from the same memory: both take the same arrays in the same order.
struct TileMemory {
  SharedMemory fours, others;

  __device__ TileRows rows(int count, int dim) {
    const int size = count * stride_of(dim);
    return {fours.take<float4>(size), others.take<float2>(2 * size)};
  }
  template <typename T>
  __device__ SharedArray<T> take(int count) {
    fours.take<T>(count);
    return others.take<T>(count);
  }
};

/// The products [rows, columns] as they are written and read.
struct TileWeights {
  SharedArray<float4> fours;
  SharedArray<float> each;
};

__device__ inline TileWeights take_weights(TileMemory& memory, int rows, int columns) {
  const int size = rows * stride_of(columns);
  return {memory.fours.take<float4>(size), memory.others.take<float>(4 * size)};
}

/// to[row] = row_at(row), null for zeros, of `width` elements padded with zeros to dim.
template <int rows, int dim, typename RowAt>
__device__ void load_rows(const TileRows& to, int width, bool fours, RowAt row_at) {
  constexpr int across = dim / 4;
  for (int i = static_cast<int>(threadIdx.x); i < rows * across; i += tile_threads) {
    const int row = i / across, four = i % across;
    const float* from = row_at(row);
    to.fours[row * stride_of(dim) + four] =
        from == nullptr ? make_float4(0, 0, 0, 0) : load_four(from, 4 * four, width, fours);
  }
}

/// body(i) for i = 0, 1, .. n - 1, constants: arrays that it indexes stay in registers, however
/// long the body is.
template <typename Body, int... i>
__device__ __forceinline__ void unrolled(const Body& body, std::integer_sequence<int, i...>) {
  (body(std::integral_constant<int, i>()), ...);
}
template <int n, typename Body>
__device__ __forceinline__ void unrolled(const Body& body) {
  unrolled(body, std::make_integer_sequence<int, n>());
}

struct TileThread {
  int x = static_cast<int>(threadIdx.x) % tile_lanes;
  int y = static_cast<int>(threadIdx.x) / tile_lanes;
};

/// dots[i][j] = a[y + 8 i] . b[x + 16 j] over `width` elements.
template <int dim, int R, int C>
__device__ void dot_rows(const TileThread& at, const TileRows& a, const TileRows& b, int width,
                         float (&dots)[R][C]) {
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < C; ++j) dots[i][j] = 0;
  }
  const int fours = (width + 3) / 4;
  for (int d = 0; d < fours; ++d) {
    float4 other[C];
    for (int j = 0; j < C; ++j) other[j] = b.fours[(at.x + tile_lanes * j) * stride_of(dim) + d];
    for (int i = 0; i < R; ++i) {
      const float4 own = a.fours[(at.y + tile_height * i) * stride_of(dim) + d];
      for (int j = 0; j < C; ++j) {
        dots[i][j] += own.x * other[j].x;
        dots[i][j] += own.y * other[j].y;
        dots[i][j] += own.z * other[j].z;
        dots[i][j] += own.w * other[j].w;
      }
    }
  }
}

__device__ inline float part_of(const float4& four, int i) {
  return i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w;
}

/// sums[i] += the sum over k < count of weights[y + 8 i, k] b[k]; weights: [rows, columns]. Up to
/// a multiple of four, weights and b must have been written. (A count that the compiler does not
/// know keeps the loop's code small.)
template <int dim, int columns, int R>
__device__ void add_weighted_rows(const TileThread& at, const TileWeights& weights,
                                  const TileRows& b, int count, float2 (&sums)[R][dim / 32]) {
  for (int k = 0; k < count; k += 4) {
    float4 weight[R];
    for (int i = 0; i < R; ++i) {
      weight[i] = weights.fours[(at.y + tile_height * i) * stride_of(columns) + k / 4];
    }
    for (int part = 0; part < 4; ++part) {
      for (int c = 0; c < dim / 32; ++c) {
        const float2 row = b.twos[2 * (k + part) * stride_of(dim) + at.x + tile_lanes * c];
        for (int i = 0; i < R; ++i) {
          sums[i][c].x += part_of(weight[i], part) * row.x;
          sums[i][c].y += part_of(weight[i], part) * row.y;
        }
      }
    }
  }
}

template <int R, int C>
__device__ void clear(float2 (&sums)[R][C]) {
  for (int i = 0; i < R; ++i) {
    for (int c = 0; c < C; ++c) sums[i][c] = make_float2(0, 0);
  }
}

/// A thread's part of a row, times factor.
template <int C>
__device__ void store_row(const TileThread& at, const float2 (&sums)[C], float factor, int width,
                          float* to) {
  for (int c = 0; c < C; ++c) {
    const int d = 2 * (at.x + tile_lanes * c);
    if (d < width) to[d] = sums[c].x * factor;
    if (d + 1 < width) to[d + 1] = sums[c].y * factor;
  }
}

/// Over the neighbouring threads that have a row.
template <typename Operation, int lanes>
__device__ float reduce_row(float value) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value = Operation::of(value, __shfl_xor_sync(whole_warp, value, distance));
  }
  return value;
}

}  // namespace gist::cuda
