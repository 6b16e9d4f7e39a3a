// Attention over intervals, backwards (Dao 2023, algorithm 2) in f32: probabilities are computed
// again from log_sum_exp, a pair of tiles at a time. Nothing is added atomically: one kernel has a
// tile of keys and goes through the columns that see any of them, for the gradients of keys and
// values; another has a tile of columns and goes through their keys, for that of the queries and
// that of the bias' table.
//
// Own tiles are 64 rows (32 for dims above 128), other tiles 64 (32 above 64). For each pair of own
// and other that see each other, the first kernel does 2 * own * other * (2 key_dim + 2 value_dim)
// FLOPs, the second one 2 * own * other * (2 key_dim + value_dim); each reads 4 other * (key_dim +
// value_dim) bytes, mostly from the L2 cache. Besides, y and dy are read once for their products,
// and the gradients of keys and values are written twice and read once. A bound on the time, then:
// the FLOPs of all visible pairs of tiles, 2 * (4 key_dim + 3 value_dim) for each pair of a query
// head and a key in them, over the device's f32 rate, or 4 bytes for each element of q, dq and dy
// (twice), and y, and for each listed element of keys and values eight times, over its bandwidth.
#include "kernels/cuda/attention_gradient_tile.h"
#include "kernels/cuda/attention_gradients.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_products.h"
#include "kernels/cuda/attention_scores.h"

namespace gist::cuda {
namespace {

template <int dim_>
struct F32GradientTile : GradientTile<dim_> {
  using GradientTile<dim_>::own, GradientTile<dim_>::other;
  static constexpr int dim = dim_;
  static constexpr int rows_each = own / tile_height;  // of a thread
  static constexpr int others_each = other / tile_lanes;
  // That a multiprocessor's shared memory has room for: they may take as many registers.
  static constexpr int blocks = dim <= 32 ? 3 : dim <= 128 ? 2 : 1;

  /// Shared memory of a block with a tile of columns and one of keys.
  static std::size_t shared(int columns, int keys, bool dropout) {
    return 2 * shared_bytes<float4>(own * stride_of(dim)) +
           2 * shared_bytes<float4>(other * stride_of(dim)) +
           shared_bytes<float4>(own * stride_of(other)) + 2 * shared_bytes<float>(columns) +
           shared_of_scores(columns, keys, dropout);
  }
};

/// A block a tile of keys and key head. Gradients go to dkeys[list, kv_heads, key_dim] and
/// dvalues[list, kv_heads, value_dim].
template <int dim>
__global__ void __launch_bounds__(tile_threads, F32GradientTile<dim>::blocks)
    key_gradients_kernel(GradientInputs from, float* dkeys, float* dvalues) {
  using Tile = F32GradientTile<dim>;
  constexpr int R = Tile::rows_each, C = Tile::others_each;
  const AttentionInputs& in = from.in;
  const AttentionOutputs& out = from.out;
  const AttentionPlan& plan = from.plan;
  if (static_cast<int>(blockIdx.x) >= plan.counts->key_tiles) return;
  const KeyTile tile = plan.key_tiles[blockIdx.x];
  const AttentionRow row = plan.rows[tile.row];
  const int kv_head = static_cast<int>(blockIdx.y);
  const bool drops = in.dropout.on();

  TileMemory memory;
  const TileRows keys = memory.rows(Tile::own, dim);
  const TileRows values = memory.rows(Tile::own, dim);
  const TileRows q = memory.rows(Tile::other, dim);
  const TileRows dy = memory.rows(Tile::other, dim);
  const TileWeights weights = take_weights(memory, Tile::own, Tile::other);
  const TileColumns column = take_columns(memory, Tile::other);
  const ColumnSums sums = take_sums(memory, Tile::other);
  const TileKeys key = take_keys(memory, Tile::own);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::other, Tile::own) : 0);

  const auto listed = [&](int k) {
    const int j = tile.first + k;
    return j < row.key_end && in.listed(j) ? j : -1;
  };
  load_keys(in, tile.first, row.key_end, Tile::own, key);
  load_rows<Tile::own, dim>(keys, in.key_dim, in.key_fours, [&](int k) {
    const int j = listed(k);
    return j < 0 ? nullptr : in.key(j, kv_head);
  });
  load_rows<Tile::own, dim>(values, in.value_dim, in.value_fours, [&](int k) {
    const int j = listed(k);
    return j < 0 ? nullptr : in.value(j, kv_head);
  });
  __syncthreads();
  const ColumnRange range = columns_that_see(key, Tile::own, row, in.group);

  const TileThread at;
  float2 key_sums[R][dim / 32], value_sums[R][dim / 32];
  clear(key_sums);
  clear(value_sums);
  for (int first = range.first; first < range.end; first += Tile::other) {
    const int used = min(Tile::other, range.end - first);
    __syncthreads();  // the columns before have been read
    load_columns(in, row, in.group, kv_head * in.group, first, Tile::other, column);
    __syncthreads();
    load_sums(in, out, column, Tile::other, used, sums);
    if (drops) draw_tile<Tile::other, Tile::own>(in, column, tile.first, kept);
    load_rows<Tile::other, dim>(q, in.key_dim, in.key_fours, [&](int c) {
      return c < used ? in.q + in.place(column.query[c], column.head[c]) * in.key_dim : nullptr;
    });
    load_rows<Tile::other, dim>(dy, in.value_dim, in.value_fours, [&](int c) {
      return c < used ? out.dy + in.place(column.query[c], column.head[c]) * in.value_dim : nullptr;
    });
    __syncthreads();
    float products[R][C], dweights[R][C];
    dot_rows<dim>(at, keys, q, in.key_dim, products);
    dot_rows<dim>(at, values, dy, in.value_dim, dweights);
    unrolled<R * C>([&](auto pair) {
      constexpr int i = decltype(pair)::value / C, j = decltype(pair)::value % C;
      const int k = at.y + tile_height * i, c = at.x + tile_lanes * j;
      const float factor = drops ? dropout_factor<Tile::own>(in, kept, c, tile.first, k) : 1.0F;
      const PairGradient gradient = pair_gradient<ExactExp>(in, products[i][j], dweights[i][j],
                                                            factor, column, sums, c, key, k);
      weights.each[k * 4 * stride_of(Tile::other) + c] = gradient.weight;
      products[i][j] = gradient.dscore;
    });
    __syncwarp();
    add_weighted_rows<dim, Tile::other>(at, weights, dy, used, value_sums);
    __syncwarp();
    for (int i = 0; i < R; ++i) {
      for (int j = 0; j < C; ++j) {
        weights
            .each[(at.y + tile_height * i) * 4 * stride_of(Tile::other) + at.x + tile_lanes * j] =
            products[i][j];
      }
    }
    __syncwarp();
    add_weighted_rows<dim, Tile::other>(at, weights, q, used, key_sums);
  }
  for (int i = 0; i < R; ++i) {
    const int j = tile.first + at.y + tile_height * i;
    if (j >= row.key_end) continue;
    const std::int64_t place = static_cast<std::int64_t>(j) * in.kv_heads + kv_head;
    store_row(at, key_sums[i], in.scale, in.key_dim, dkeys + place * in.key_dim);
    store_row(at, value_sums[i], 1, in.value_dim, dvalues + place * in.value_dim);
  }
}

/// A block a tile of columns, of `pack` heads that read one key head: one where the buckets are
/// summed. dq, unless null, may be q or dy.
template <int dim>
__global__ void __launch_bounds__(tile_threads, F32GradientTile<dim>::blocks)
    query_gradients_kernel(GradientInputs from, int pack, BucketSums buckets, float* dq) {
  using Tile = F32GradientTile<dim>;
  constexpr int R = Tile::rows_each, C = Tile::others_each;
  const AttentionInputs& in = from.in;
  const AttentionOutputs& out = from.out;
  const AttentionPlan& plan = from.plan;
  if (static_cast<int>(blockIdx.x) >= plan.counts->query_tiles) return;
  const QueryTile tile = plan.query_tiles[blockIdx.x];
  const AttentionRow row = plan.rows[tile.row];
  const int first_head = static_cast<int>(blockIdx.y) * pack;
  const int kv_head = first_head / in.group;
  const int columns = (row.query_end - row.query_begin) * pack - tile.first_column;
  const bool drops = in.dropout.on();

  TileMemory memory;
  const TileRows q = memory.rows(Tile::own, dim);
  const TileRows dy = memory.rows(Tile::own, dim);
  const TileRows keys = memory.rows(Tile::other, dim);
  const TileRows values = memory.rows(Tile::other, dim);
  const TileWeights weights = take_weights(memory, Tile::own, Tile::other);
  const TileColumns column = take_columns(memory, Tile::own);
  const ColumnSums sums = take_sums(memory, Tile::own);
  const TileKeys key = take_keys(memory, Tile::other);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::own, Tile::other) : 0);
  const auto by_bucket = take_buckets(memory, buckets);

  load_columns(in, row, pack, first_head, tile.first_column, Tile::own, column);
  __syncthreads();
  load_sums(in, out, column, Tile::own, columns, sums);
  load_rows<Tile::own, dim>(q, in.key_dim, in.key_fours, [&](int c) {
    return c < columns ? in.q + in.place(column.query[c], column.head[c]) * in.key_dim : nullptr;
  });
  load_rows<Tile::own, dim>(dy, in.value_dim, in.value_fours, [&](int c) {
    return c < columns ? out.dy + in.place(column.query[c], column.head[c]) * in.value_dim
                       : nullptr;
  });
  const int first_index = column.index[0], last_index = column.index[Tile::own - 1];

  const TileThread at;
  float2 query_sums[R][dim / 32];
  clear(query_sums);
  const auto next = [&](int t) {
    return next_visible_tile<Tile::other>(plan, row, t, first_index, last_index);
  };
  const int tiles = parts_of(row.key_end - row.key_begin, Tile::other);
  for (int t = next(0); t < tiles; t = next(t + 1)) {
    const int first = row.key_begin + t * Tile::other;
    const int count = min(Tile::other, row.key_end - first);
    const auto listed = [&](int k) { return k < count && in.listed(first + k) ? first + k : -1; };
    __syncthreads();  // the keys before have been read
    load_keys(in, first, row.key_end, Tile::other, key);
    if (drops) draw_tile<Tile::own, Tile::other>(in, column, first, kept);
    load_rows<Tile::other, dim>(keys, in.key_dim, in.key_fours, [&](int k) {
      const int j = listed(k);
      return j < 0 ? nullptr : in.key(j, kv_head);
    });
    load_rows<Tile::other, dim>(values, in.value_dim, in.value_fours, [&](int k) {
      const int j = listed(k);
      return j < 0 ? nullptr : in.value(j, kv_head);
    });
    __syncthreads();
    float products[R][C], dweights[R][C];
    dot_rows<dim>(at, q, keys, in.key_dim, products);
    dot_rows<dim>(at, dy, values, in.value_dim, dweights);
    unrolled<R * C>([&](auto pair) {
      constexpr int i = decltype(pair)::value / C, j = decltype(pair)::value % C;
      const int c = at.y + tile_height * i, k = at.x + tile_lanes * j;
      const float factor = drops ? dropout_factor<Tile::other>(in, kept, c, first, k) : 1.0F;
      weights.each[c * 4 * stride_of(Tile::other) + k] =
          pair_gradient<ExactExp>(in, products[i][j], dweights[i][j], factor, column, sums, c, key,
                                  k)
              .dscore;
    });
    for (int i = 0; i < R * C && buckets.count > 0; ++i) {
      const int c = at.y + tile_height * (i / C), k = at.x + tile_lanes * (i % C);
      const float dscore = weights.each[c * 4 * stride_of(Tile::other) + k];
      add_to_bucket(in, dscore, column, c, key, k, buckets, by_bucket);
    }
    __syncwarp();
    add_weighted_rows<dim, Tile::other>(at, weights, keys, count, query_sums);
  }
  for (int i = 0; i < R && dq != nullptr; ++i) {
    const int c = at.y + tile_height * i;
    if (c >= columns) continue;
    store_row(at, query_sums[i], in.scale, in.key_dim,
              dq + in.place(column.query[c], column.head[c]) * in.key_dim);
  }
  __syncthreads();
  store_buckets(in, first_head, buckets, by_bucket);
}

}  // namespace

void key_gradients_f32(Device& device, const GradientInputs& from, int tiles, float* dkeys,
                       float* dvalues) {
  with_head_dim(from.in, [&](auto dim) {
    using Tile = F32GradientTile<decltype(dim)::value>;
    launch(device,
           tile_grid(tiles, from.in.kv_heads,
                     Tile::shared(Tile::other, Tile::own, from.in.dropout.on())),
           key_gradients_kernel<Tile::dim>, from, dkeys, dvalues);
  });
}

void query_gradients_f32(Device& device, const GradientInputs& from, const QueryPass& pass) {
  with_head_dim(from.in, [&](auto dim) {
    using Tile = F32GradientTile<decltype(dim)::value>;
    launch(device,
           tile_grid(pass.tiles, from.in.heads / pass.pack,
                     Tile::shared(Tile::own, Tile::other, from.in.dropout.on()) +
                         shared_bytes<float>(pass.buckets.count * tile_threads)),
           query_gradients_kernel<Tile::dim>, from, pass.pack, pass.buckets, pass.dq);
  });
}

}  // namespace gist::cuda
