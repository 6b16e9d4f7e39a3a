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
#include <algorithm>

#include "kernels/cuda/attention_gradient_tile.h"
#include "kernels/cuda/attention_gradients.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// A block a tile of keys and key head. Gradients go to dkeys[list, kv_heads, key_dim] and
/// dvalues[list, kv_heads, value_dim].
template <int dim>
__global__ void __launch_bounds__(tile_threads, BackwardTile<dim>::blocks)
    key_gradients(AttentionInputs in, AttentionOutputs out, AttentionPlan plan, float* dkeys,
                  float* dvalues) {
  using Tile = BackwardTile<dim>;
  constexpr int R = Tile::rows_each, C = Tile::others_each;
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
  const ColumnSums sums = {memory.take<float>(Tile::other), memory.take<float>(Tile::other)};
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
  // The columns that may see any of the keys.
  int min_begin = INT32_MAX, max_end = INT32_MIN;
  for (int k = 0; k < Tile::own; ++k) {
    const int begin = key.begin[k], end = key.end[k];
    if (begin >= end) continue;
    min_begin = min(min_begin, begin);
    max_end = max(max_end, end);
  }
  const auto column_of = [&](int index) {
    const int queries = row.query_end - row.query_begin;
    const int clamped = min(max(index, row.query_index), row.query_index + queries);
    return (clamped - row.query_index) * in.group;
  };
  const int first_column = column_of(min_begin), end_column = column_of(max_end);

  const TileThread at;
  float2 key_sums[R][dim / 32], value_sums[R][dim / 32];
  clear(key_sums);
  clear(value_sums);
  for (int first = first_column; first < end_column; first += Tile::other) {
    const int used = min(Tile::other, end_column - first);
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
      const PairGradient gradient =
          pair_gradient(in, products[i][j], dweights[i][j], factor, column, sums, c, key, k);
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
__global__ void __launch_bounds__(tile_threads, BackwardTile<dim>::blocks)
    query_gradients(AttentionInputs in, AttentionOutputs out, AttentionPlan plan, int pack,
                    BucketSums buckets, float* dq) {
  using Tile = BackwardTile<dim>;
  constexpr int R = Tile::rows_each, C = Tile::others_each;
  if (static_cast<int>(blockIdx.x) >= plan.counts->query_tiles) return;
  const QueryTile tile = plan.query_tiles[blockIdx.x];
  const AttentionRow row = plan.rows[tile.row];
  const int first_head = static_cast<int>(blockIdx.y) * pack;
  const int kv_head = first_head / in.group;
  const int columns = (row.query_end - row.query_begin) * pack - tile.first_column;
  const int thread = static_cast<int>(threadIdx.x);
  const bool drops = in.dropout.on();

  TileMemory memory;
  const TileRows q = memory.rows(Tile::own, dim);
  const TileRows dy = memory.rows(Tile::own, dim);
  const TileRows keys = memory.rows(Tile::other, dim);
  const TileRows values = memory.rows(Tile::other, dim);
  const TileWeights weights = take_weights(memory, Tile::own, Tile::other);
  const TileColumns column = take_columns(memory, Tile::own);
  const ColumnSums sums = {memory.take<float>(Tile::own), memory.take<float>(Tile::own)};
  const TileKeys key = take_keys(memory, Tile::other);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::own, Tile::other) : 0);
  const auto by_bucket = memory.take<float>(buckets.count * tile_threads);  // [buckets, threads]

  for (int b = 0; b < buckets.count; ++b) by_bucket[b * tile_threads + thread] = 0;
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
          pair_gradient(in, products[i][j], dweights[i][j], factor, column, sums, c, key, k).dscore;
    });
    if (buckets.count > 0) add_to_buckets<R, C>(in, at, weights, column, key, buckets, by_bucket);
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
  for (int b = thread; b < buckets.count; b += tile_threads) {
    float sum = 0;
    for (int i = 0; i < tile_threads; ++i) sum += by_bucket[b * tile_threads + i];
    const std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * in.heads + first_head;
    buckets.partials[place * buckets.count + b] = sum;
  }
}

constexpr int buckets_a_pass = 64;

Grid grid_of(std::int64_t x, std::int64_t y, int threads, std::size_t shared = 0) {
  return {dim3(static_cast<unsigned>(x), static_cast<unsigned>(y)),
          dim3(static_cast<unsigned>(threads)), shared};
}

struct QueryPass {
  int pack;         // heads a tile
  int tiles;        // at most
  int buckets;      // of which sums are wanted
  float* partials;  // [tiles, heads, buckets of a pass]
};

/// The queries' gradient, and the table's: a pass for each run of buckets, of which the last one
/// overwrites what may be q.
template <typename Tile>
void launch_query_gradients(Device& device, const AttentionInputs& in, const AttentionOutputs& out,
                            const AttentionPlan& plan, const QueryPass& pass, bool drops, float* dq,
                            float* dtable) {
  const auto [pack, tiles, buckets, partials] = pass;
  for (int first = 0; first == 0 || first < buckets; first += buckets_a_pass) {
    const BucketSums sums{partials, first, std::min(buckets_a_pass, buckets - first)};
    const bool last = first + sums.count == buckets;
    launch(device,
           grid_of(tiles, in.heads / pack, tile_threads,
                   Tile::shared(Tile::own, Tile::other, drops) +
                       shared_bytes<float>(sums.count * tile_threads)),
           query_gradients<Tile::dim>, in, out, plan, pack, sums, last ? dq : nullptr);
    if (sums.count == 0) continue;
    launch(device, grid_of(sums.count, in.heads, gradient_threads, shared_bytes<double>(warp_size)),
           add_bucket_sums, plan, sums, in.heads, dtable);
  }
}

/// What a call keeps in its scratch memory.
struct BackwardMemory {
  BackwardMemory(const AttentionInputs& in, const AttentionSpec& spec, std::int64_t slots,
                 const PlanSizes& sizes, int buckets)
      : plan(in, sizes, pieces),
        bias(spec.bias, in.heads, pieces),
        mean(pieces.add<float>(std::int64_t{in.queries} * in.heads)),
        dkeys(pieces.add<float>(in.list * in.kv_heads * in.key_dim)),
        dvalues(pieces.add<float>(in.list * in.kv_heads * in.value_dim)),
        marks(pieces.add<int>(3 * slots)),
        partials(pieces.add<float>(std::int64_t{sizes.query_tiles} * in.heads *
                                   std::min(buckets, buckets_a_pass))) {}

  ScratchPieces pieces;
  PlanMemory plan;
  BiasMemory bias;
  ScratchPiece<float> mean, dkeys, dvalues;
  ScratchPiece<int> marks;
  ScratchPiece<float> partials;
};

}  // namespace

void attention_backward(Device& device, Scratch& scratch, const Tensor& q, const Tensor& keys,
                        const Tensor& values, const AttentionKeys& visible,
                        const AttentionSpec& spec, const checks::AttentionSizes& sizes,
                        const Tensor& y, const Tensor& log_sum_exp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dkeys, const Tensor& dvalues,
                        const Tensor& dtable) {
  AttentionInputs in = attention_inputs(device, q, keys, values, visible, spec, sizes);
  in.value_fours = in.value_fours && read_in_fours(dy, sizes.value_dim);
  const bool biased = spec.bias.table.data != nullptr && dtable.data != nullptr;
  const int buckets = biased ? static_cast<int>(spec.bias.table.shape[0]) : 0;
  const int pack = biased ? 1 : in.group;
  const bool drops = spec.dropout.probability > 0;
  with_head_dim(in, [&](auto dim) {
    using Tile = BackwardTile<decltype(dim)::value>;
    const int query_tiles = most_query_tiles(in, pack, Tile::own);
    const int key_tiles = static_cast<int>(in.list / Tile::own) + in.rows;
    const BackwardMemory at(in, spec, sizes.slots,
                            {pack, Tile::own, Tile::own, Tile::other, query_tiles, key_tiles, 0},
                            buckets);
    auto* memory = scratch.reserve(at.pieces.bytes());
    in.bias = at.bias.make(device, spec.bias, in.heads, memory);
    const AttentionPlan plan = at.plan.make(device, in, visible.rows, memory);
    const std::int64_t heads = std::int64_t{in.queries} * in.heads;
    float* mean = at.mean.in(memory);
    const AttentionOutputs out{data_of<const float>(log_sum_exp), data_of<const float>(dy), mean};
    if (heads > 0) {
      constexpr int warps = gradient_threads / warp_size;
      launch(device, grid_of((heads + warps - 1) / warps, 1, gradient_threads), mean_gradients,
             out.dy, data_of<const float>(y), heads, in.value_dim, mean);
    }
    if (key_tiles > 0) {
      launch(device,
             grid_of(key_tiles, in.kv_heads, tile_threads,
                     Tile::shared(Tile::other, Tile::own, drops)),
             key_gradients<Tile::dim>, in, out, plan, at.dkeys.in(memory), at.dvalues.in(memory));
    }
    if (query_tiles > 0) {  // after the keys' gradients, as dq may be q
      launch_query_gradients<Tile>(device, in, out, plan,
                                   {pack, query_tiles, buckets, at.partials.in(memory)}, drops,
                                   data_of<float>(dq), data_of<float>(dtable));
    }
    if (heads > 0) {
      clear_others(device, in, plan, std::int64_t{in.heads} * in.key_dim, data_of<float>(dq),
                   nullptr);
    }
    if (sizes.slots == 0) return;
    int* mark = at.marks.in(memory);
    const SlotMarks marks{mark, mark + sizes.slots, mark + 2 * sizes.slots};
    device.zero(mark, static_cast<std::size_t>(3 * sizes.slots) * sizeof(int));
    if (key_tiles > 0) {
      launch(device, grid_of(key_tiles, 1, Tile::own), mark_slots, in, plan, Tile::own, marks);
    }
    const auto sum = [&](const float* entries, int width, const Tensor& to) {
      launch(device, grid_of(sizes.slots, 1, gradient_threads), sum_entries, in, plan, marks,
             entries, width, data_of<float>(to));
    };
    sum(at.dkeys.in(memory), in.kv_heads * in.key_dim, dkeys);
    sum(at.dvalues.in(memory), in.kv_heads * in.value_dim, dvalues);
  });
}

}  // namespace gist::cuda
