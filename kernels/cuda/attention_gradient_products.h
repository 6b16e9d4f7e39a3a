// Attention's gradient needs these besides attention_fragments.h: warps that share rows, and tiles
// that are copied while others are used.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/attention_fragments.h"

namespace gist::cuda {

/// A block's own tile, of which each warp has 16 rows, against tiles of the other side. Two warps
/// share rows where there are but 32: each multiplies them with a half of the other rows, and sums
/// a half of the dims.
template <int dim_, int own_, int other_>
struct FragmentTile {
  static constexpr int dim = dim_, own = own_, other = other_;
  static constexpr int parts = tile_threads / warp_size * fragment_rows / own;
  static constexpr int stride = bf16_stride(dim);
  static constexpr int pairs = other / parts / 2;                          // of a thread
  static constexpr int weights = parts > 1 ? own* bf16_stride(other) : 0;  // in shared memory

  using Products = float[other / parts / 8][4];  // own rows and other rows
  using Sums = float[dim / parts / 8][4];        // own rows and dims
  using Weights = unsigned[other / 16][4];       // own rows and other rows, as factors
};

/// Where the elements of a thread's products and sums stand in the tiles.
template <typename Tile>
struct FragmentPlace : FragmentThread {
  __device__ FragmentPlace() : FragmentThread(Tile::own) {}

  int first_other = part * (Tile::other / Tile::parts);
  int first_dim = part * (Tile::dim / Tile::parts);

  __device__ int other(int n, int i) const { return first_other + column(2 * n + i % 2); }
  __device__ int dim(int n, int i) const { return first_dim + column(2 * n + i % 2); }
};

/// The products of the warp's part.
template <typename Tile>
__device__ void multiply_own(const FragmentPlace<Tile>& at, const SharedArray<Bf16>& own,
                             const SharedArray<Bf16>& other, typename Tile::Products& products) {
  multiply_rows<Tile::dim>(at, own, other.from(at.first_other * Tile::stride), products);
}

/// The weights of the warp's rows for all other rows, rounded. Warps that share rows bring a part
/// each, by way of `shared`: all of a block's threads must call.
template <typename Tile>
__device__ void share_weights(const FragmentPlace<Tile>& at, const typename Tile::Products& part,
                              const SharedArray<Bf16>& shared, typename Tile::Weights& weights) {
  if constexpr (Tile::parts == 1) {
    unrolled<Tile::other / 4>([&](auto each) {
      constexpr int k = decltype(each)::value / 4, i = decltype(each)::value % 4;
      const float(&own)[4] = part[2 * k + i / 2];
      weights[k][i] = pack_bf16(own[i % 2 * 2], own[i % 2 * 2 + 1]);
    });
  } else {
    constexpr int stride = bf16_stride(Tile::other);
    unrolled<Tile::pairs>([&](auto each) {
      constexpr int n = decltype(each)::value / 4, i = decltype(each)::value % 4;
      shared[at.row(i / 2) * stride + at.other(n, i)] = to_bf16(part[n][i]);
    });
    __syncthreads();
    unrolled<Tile::other / 16>([&](auto k) {
      load_matrices(weights[k], shared, at.first_row * stride + at.down(Tile::other) + 16 * k);
    });
  }
}

/// sums += weights other, of the warp's dims.
template <typename Tile>
__device__ void add_weighted(const FragmentPlace<Tile>& at, const typename Tile::Weights& weights,
                             const SharedArray<Bf16>& other, typename Tile::Sums& sums) {
  add_products<Tile::dim>(at, weights, other.from(at.first_dim), sums);
}

template <int n>
__device__ void clear(float (&sums)[n][4]) {
  unrolled<4 * n>([&](auto i) { sums[i / 4][i % 4] = 0; });
}

/// row_at(r)[0, width) = the warp's sums of row r, times factor; nothing where null.
template <typename Tile, typename RowAt>
__device__ void store_rows(const FragmentPlace<Tile>& at, const typename Tile::Sums& sums,
                           float factor, int width, RowAt row_at) {
  unrolled<2>([&](auto half) {
    float* to = row_at(at.row(half));
    if (to == nullptr) return;
    unrolled<Tile::dim / Tile::parts / 4>([&](auto each) {
      constexpr int n = decltype(each)::value / 2, i = decltype(each)::value % 2;
      const int d = at.dim(n, i);
      if (d < width) to[d] = sums[n][2 * half + i] * factor;
    });
  });
}

/// Goes through tiles of the other side: i, next(i) and so on, from `first` up to `end`. fetch(i,
/// stage) queues the copies of tile i, with two stages while use(i, stage) uses the one before.
/// What was queued before the first has arrived, too. All of a block's threads must call.
template <int stages, typename Next, typename Fetch, typename Use>
__device__ void for_each_tile(int first, int end, Next next, Fetch fetch, Use use) {
  const auto fetch_any = [&](int tile, int stage) {
    if (tile < end) fetch(tile, stage);
    commit_copies();
  };
  fetch_any(first, 0);
  int stage = 0;
  for (int tile = first; tile < end;) {
    const int following = next(tile);
    if (stages > 1) fetch_any(following, 1 - stage);
    wait_for_copies<stages - 1>();
    __syncthreads();
    use(tile, stage);
    __syncthreads();  // what follows may overwrite what was used
    if (stages > 1) {
      stage = 1 - stage;
    } else {
      fetch_any(following, 0);
    }
    tile = following;
  }
  wait_for_copies<0>();  // no copy may be under way when a block ends
}

}  // namespace gist::cuda
