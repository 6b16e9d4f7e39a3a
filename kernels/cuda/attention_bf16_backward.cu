// Attention over intervals, backwards, on tensor cores: the scheme of attention_f32_backward.cu
// with factors in bf16 (q, keys, values and dy are rounded once a call, probabilities and the
// gradients of scores a pair of tiles at a time) and sums in f32.
//
// Tiles are those of f32: 64 own rows (32 for dims above 128), 16 a warp, against 64 others (32
// above 64), which are copied while the ones before are used. With `width` for the compiled width
// that both dims are padded to, both kernels together do 2 * 7 width FLOPs for each pair of a query
// head and a key in visible pairs of tiles, and each reads 4 other * width bytes a pair of tiles,
// mostly from the L2 cache. A bound on the time, then: those FLOPs over the device's bf16 rate; or
// once what attention_f32_backward.cu counts, of which the kernels here read half the bytes, and 6
// bytes for each element that is rounded, over its bandwidth.
#include "kernels/cuda/attention_gradient_products.h"
#include "kernels/cuda/attention_gradients.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_scores.h"

namespace gist::cuda {
namespace {

template <int dim>
using Bf16GradientTile = FragmentTile<dim, GradientTile<dim>::own, GradientTile<dim>::other>;

/// A block may ask for so many bytes on all devices from compute capability 8.0 on.
constexpr std::size_t most_shared = 99 << 10;

/// Tiles of the other side that shared memory has room for.
template <typename Tile>
constexpr int stages = Tile::dim <= 192 ? 2 : 1;
/// That a multiprocessor may run at once: three would share its registers only if they spilled.
constexpr int blocks = 2;

/// Rows of one side's tile in shared memory: of q or keys, whose products are scores, and of dy or
/// values, whose products are the gradients of weights.
struct SideRows {
  SharedArray<Bf16> scores, weights;

  __device__ SideRows from(int i) const { return {scores.from(i), weights.from(i)}; }
};

template <typename Tile>
__device__ SideRows take_side(TileMemory& memory, int rows) {
  return {memory.take<Bf16>(rows * Tile::stride), memory.take<Bf16>(rows * Tile::stride)};
}

/// Starts to copy `count` rows, which stand at place_of(r) of both sources; zeros beyond.
template <int rows, int dim, typename Place>
__device__ void copy_side(const SideRows& to, const Bf16* scores, const Bf16* weights, int count,
                          Place place_of) {
  copy_rows<rows, dim>(to.scores, count, [&](int r) { return scores + place_of(r) * dim; });
  copy_rows<rows, dim>(to.weights, count, [&](int r) { return weights + place_of(r) * dim; });
}

/// Returns the shared memory that a block asks for: with so many columns and keys, over all stages,
/// arrays of weights that warps share, and buckets.
template <typename Tile>
constexpr std::size_t shared(int columns, int keys, int weights, int draws, int buckets) {
  return 2 * shared_bytes<Bf16>(Tile::own * Tile::stride) +
         2 * shared_bytes<Bf16>(stages<Tile> * Tile::other * Tile::stride) +
         static_cast<std::size_t>(weights) * shared_bytes<Bf16>(Tile::weights) +
         4 * shared_bytes<int>(columns) + 2 * shared_bytes<float>(columns) +
         3 * shared_bytes<int>(keys) + shared_bytes<int>(draws) +
         shared_bytes<float>(buckets * tile_threads);
}
template <typename Tile>
constexpr std::size_t key_kernel_shared(bool drops) {
  return shared<Tile>(stages<Tile> * Tile::other, Tile::own, 2,
                      drops ? draw_words(Tile::other, Tile::own) : 0, 0);
}
template <typename Tile>
constexpr std::size_t query_kernel_shared(bool drops, int buckets) {
  return shared<Tile>(Tile::own, stages<Tile> * Tile::other, 1,
                      drops ? draw_words(Tile::own, Tile::other) : 0, buckets);
}

/// A block a tile of keys and key head. Gradients go to dkeys[list, kv_heads, key_dim] and
/// dvalues[list, kv_heads, value_dim].
template <int dim>
__global__ void __launch_bounds__(tile_threads, blocks)
    key_gradients_kernel(GradientInputs from, float* dkeys, float* dvalues) {
  using Tile = Bf16GradientTile<dim>;
  const AttentionInputs& in = from.in;
  if (static_cast<int>(blockIdx.x) >= from.plan.counts->key_tiles) return;
  const KeyTile tile = from.plan.key_tiles[blockIdx.x];
  const AttentionRow row = from.plan.rows[tile.row];
  const int kv_head = static_cast<int>(blockIdx.y);
  const bool drops = in.dropout.on();

  TileMemory memory;
  const SideRows own = take_side<Tile>(memory, Tile::own);
  const SideRows others = take_side<Tile>(memory, stages<Tile> * Tile::other);
  const auto shared_weights = memory.take<Bf16>(Tile::weights);
  const auto shared_dscores = memory.take<Bf16>(Tile::weights);
  const TileColumns columns = take_columns(memory, stages<Tile> * Tile::other);
  const ColumnSums column_sums = take_sums(memory, stages<Tile> * Tile::other);
  const TileKeys key = take_keys(memory, Tile::own);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::other, Tile::own) : 0);

  const auto place_of = [&](int k) {
    return static_cast<std::int64_t>(tile.first + k) * in.kv_heads + kv_head;
  };
  const int count = min(Tile::own, row.key_end - tile.first);
  copy_side<Tile::own, dim>(own, from.staged.keys, from.staged.values, count, place_of);
  load_keys(in, tile.first, row.key_end, Tile::own, key);
  __syncthreads();
  const ColumnRange range = columns_that_see(key, Tile::own, row, in.group);

  const FragmentPlace<Tile> at;
  typename Tile::Sums key_sums, value_sums;
  clear(key_sums);
  clear(value_sums);
  const auto fetch = [&](int first, int stage) {
    const int used = min(Tile::other, range.end - first);
    const TileColumns column = columns.from(stage * Tile::other);
    load_columns(in, row, in.group, kv_head * in.group, first, Tile::other, column);
    load_sums(in, from.out, column, Tile::other, used, column_sums.from(stage * Tile::other));
    copy_side<Tile::other, dim>(
        others.from(stage * Tile::other * Tile::stride), from.staged.q, from.dy, used, [&](int c) {
          const int at_query = (first + c) / in.group, at_head = (first + c) % in.group;
          return in.place(row.query_begin + at_query, kv_head * in.group + at_head);
        });
  };
  const auto use = [&](int, int stage) {
    const SideRows other = others.from(stage * Tile::other * Tile::stride);
    const TileColumns column = columns.from(stage * Tile::other);
    const ColumnSums sums = column_sums.from(stage * Tile::other);
    if (drops) {
      draw_tile<Tile::other, Tile::own>(in, column, tile.first, kept);
      __syncthreads();
    }
    typename Tile::Products scores, weights;  // then the gradients of scores, and weights
    multiply_own<Tile>(at, own.scores, other.scores, scores);
    multiply_own<Tile>(at, own.weights, other.weights, weights);
    const bool all = all_visible(key.from(at.first_row), fragment_rows, column.index[0],
                                 column.index[Tile::other - 1]);
    with_kind_of_scores(in, all, [&](auto plain, auto masked) {
      unrolled<Tile::pairs>([&](auto pair) {
        constexpr int n = decltype(pair)::value / 4, i = decltype(pair)::value % 4;
        const int k = at.row(i / 2), c = at.other(n, i);
        const bool draws = !plain && drops;
        const float factor = draws ? dropout_factor<Tile::own>(in, kept, c, tile.first, k) : 1.0F;
        const PairGradient gradient = pair_gradient<FastExp, plain, masked>(
            in, scores[n][i], weights[n][i], factor, column, sums, c, key, k);
        scores[n][i] = gradient.dscore;
        weights[n][i] = gradient.weight;
      });
    });
    typename Tile::Weights factor;
    share_weights<Tile>(at, weights, shared_weights, factor);
    add_weighted<Tile>(at, factor, other.weights, value_sums);
    share_weights<Tile>(at, scores, shared_dscores, factor);
    add_weighted<Tile>(at, factor, other.scores, key_sums);
  };
  for_each_tile<stages<Tile>>(
      range.first, range.end, [](int first) { return first + Tile::other; }, fetch, use);
  const auto store = [&](const typename Tile::Sums& sums, float factor, int width, float* to) {
    store_rows<Tile>(at, sums, factor, width,
                     [&](int k) { return k < count ? to + place_of(k) * width : nullptr; });
  };
  store(key_sums, in.scale, in.key_dim, dkeys);
  store(value_sums, 1, in.value_dim, dvalues);
}

/// A block a tile of columns, of `pack` heads that read one key head: one where the buckets are
/// summed.
template <int dim>
__global__ void __launch_bounds__(tile_threads, blocks)
    query_gradients_kernel(GradientInputs from, int pack, BucketSums buckets, float* dq) {
  using Tile = Bf16GradientTile<dim>;
  const AttentionInputs& in = from.in;
  if (static_cast<int>(blockIdx.x) >= from.plan.counts->query_tiles) return;
  const QueryTile tile = from.plan.query_tiles[blockIdx.x];
  const AttentionRow row = from.plan.rows[tile.row];
  const int first_head = static_cast<int>(blockIdx.y) * pack;
  const int kv_head = first_head / in.group;
  const int used = (row.query_end - row.query_begin) * pack - tile.first_column;
  const bool drops = in.dropout.on();

  TileMemory memory;
  const SideRows own = take_side<Tile>(memory, Tile::own);
  const SideRows others = take_side<Tile>(memory, stages<Tile> * Tile::other);
  const auto shared_dscores = memory.take<Bf16>(Tile::weights);
  const TileColumns column = take_columns(memory, Tile::own);
  const ColumnSums sums = take_sums(memory, Tile::own);
  const TileKeys keys = take_keys(memory, stages<Tile> * Tile::other);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::own, Tile::other) : 0);
  const auto by_bucket = take_buckets(memory, buckets);

  load_columns(in, row, pack, first_head, tile.first_column, Tile::own, column);
  load_sums(in, from.out, column, Tile::own, used, sums);
  __syncthreads();
  const auto place_of = [&](int c) { return in.place(column.query[c], column.head[c]); };
  copy_side<Tile::own, dim>(own, from.staged.q, from.dy, min(Tile::own, used), place_of);
  const int first_index = column.index[0], last_index = column.index[Tile::own - 1];

  const FragmentPlace<Tile> at;
  typename Tile::Sums query_sums;
  clear(query_sums);
  const auto next = [&](int t) {
    return next_visible_tile<Tile::other>(from.plan, row, t, first_index, last_index);
  };
  const auto fetch = [&](int t, int stage) {
    const int first = row.key_begin + t * Tile::other;
    load_keys(in, first, row.key_end, Tile::other, keys.from(stage * Tile::other));
    copy_side<Tile::other, dim>(
        others.from(stage * Tile::other * Tile::stride), from.staged.keys, from.staged.values,
        min(Tile::other, row.key_end - first),
        [&](int k) { return static_cast<std::int64_t>(first + k) * in.kv_heads + kv_head; });
  };
  const auto use = [&](int t, int stage) {
    const int first = row.key_begin + t * Tile::other;
    const SideRows other = others.from(stage * Tile::other * Tile::stride);
    const TileKeys key = keys.from(stage * Tile::other);
    if (drops) {
      draw_tile<Tile::own, Tile::other>(in, column, first, kept);
      __syncthreads();
    }
    typename Tile::Products scores, weights;  // then the gradients of scores
    multiply_own<Tile>(at, own.scores, other.scores, scores);
    multiply_own<Tile>(at, own.weights, other.weights, weights);
    const bool all = all_visible(key, Tile::other, column.index[at.first_row],
                                 column.index[at.first_row + fragment_rows - 1]);
    with_kind_of_scores(in, all, [&](auto plain, auto masked) {
      unrolled<Tile::pairs>([&](auto pair) {
        constexpr int n = decltype(pair)::value / 4, i = decltype(pair)::value % 4;
        const int c = at.row(i / 2), k = at.other(n, i);
        const bool draws = !plain && drops;
        const float factor = draws ? dropout_factor<Tile::other>(in, kept, c, first, k) : 1.0F;
        const PairGradient gradient = pair_gradient<FastExp, plain, masked>(
            in, scores[n][i], weights[n][i], factor, column, sums, c, key, k);
        scores[n][i] = gradient.dscore;
        if (!plain && buckets.count > 0) {
          add_to_bucket(in, gradient.dscore, column, c, key, k, buckets, by_bucket);
        }
      });
    });
    typename Tile::Weights factor;
    share_weights<Tile>(at, scores, shared_dscores, factor);
    add_weighted<Tile>(at, factor, other.scores, query_sums);
  };
  const int tiles = parts_of(row.key_end - row.key_begin, Tile::other);
  for_each_tile<stages<Tile>>(
      next(0), tiles, [&](int t) { return next(t + 1); }, fetch, use);
  if (dq != nullptr) {
    store_rows<Tile>(at, query_sums, in.scale, in.key_dim,
                     [&](int c) { return c < used ? dq + place_of(c) * in.key_dim : nullptr; });
  }
  __syncthreads();
  store_buckets(in, first_head, buckets, by_bucket);
}

}  // namespace

void key_gradients_bf16(Device& device, const GradientInputs& from, int tiles, float* dkeys,
                        float* dvalues) {
  with_head_dim(from.in, [&](auto dim) {
    using Tile = Bf16GradientTile<decltype(dim)::value>;
    static_assert(key_kernel_shared<Tile>(true) <= most_shared);
    launch(device,
           tile_grid(tiles, from.in.kv_heads, key_kernel_shared<Tile>(from.in.dropout.on())),
           key_gradients_kernel<Tile::dim>, from, dkeys, dvalues);
  });
}

void query_gradients_bf16(Device& device, const GradientInputs& from, const QueryPass& pass) {
  with_head_dim(from.in, [&](auto dim) {
    using Tile = Bf16GradientTile<decltype(dim)::value>;
    static_assert(query_kernel_shared<Tile>(true, buckets_a_pass) <= most_shared);
    launch(device,
           tile_grid(pass.tiles, from.in.heads / pass.pack,
                     query_kernel_shared<Tile>(from.in.dropout.on(), pass.buckets.count)),
           query_gradients_kernel<Tile::dim>, from, pass.pack, pass.buckets, pass.dq);
  });
}

}  // namespace gist::cuda
