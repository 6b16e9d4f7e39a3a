// Attention over intervals, forwards: FlashAttention-2's scheme (Dao 2023) in f32. A block has a
// tile of 64 columns (queries of a row, and the heads that read one key head), keeps their sums in
// registers, and takes the row's keys tile by tile.
//
// For each pair of a column tile and a key tile (of 64 keys, or 32 for dims above 128) that see
// each other, 2 * 64 * keys * (key_dim + value_dim) FLOPs are done and 4 keys * (key_dim +
// value_dim) bytes of keys and values read, mostly from the L2 cache; q and y are read and written
// once. A bound on the time, then: the FLOPs of all visible pairs of tiles over the device's f32
// rate, or once the bytes of q, y, and the visible keys and values over its bandwidth. Pairs of
// tiles that do not see each other cost 16 bytes.
#include <algorithm>
#include <optional>

#include "kernels/cuda/attention_bf16.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/attention_softmax.h"
#include "kernels/cuda/attention_tile.h"
#include "kernels/cuda/decode_attention.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

template <int dim>
std::size_t shared_of_tile(bool dropout) {
  using Tile = ForwardTile<dim>;
  return shared_bytes<float4>(Tile::columns * stride_of(dim)) +
         shared_bytes<float4>(Tile::keys * stride_of(dim)) +
         shared_bytes<float4>(Tile::columns * stride_of(Tile::keys)) +
         shared_of_scores(Tile::columns, Tile::keys, dropout);
}

template <int dim>
__global__ void __launch_bounds__(tile_threads)
    attention_kernel(AttentionInputs in, AttentionPlan plan, float* y, float* log_sum_exp) {
  using Tile = ForwardTile<dim>;
  constexpr int R = Tile::columns / tile_height, C = Tile::keys / tile_lanes;  // of a thread
  if (static_cast<int>(blockIdx.x) >= plan.counts->query_tiles) return;
  const QueryTile tile = plan.query_tiles[blockIdx.x];
  const AttentionRow row = plan.rows[tile.row];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int columns = (row.query_end - row.query_begin) * in.group - tile.first_column;
  const bool drops = in.dropout.on();

  TileMemory memory;
  const TileRows q = memory.rows(Tile::columns, dim);
  const TileRows other = memory.rows(Tile::keys, dim);  // keys, then values
  const TileWeights weights = take_weights(memory, Tile::columns, Tile::keys);
  const TileColumns column = take_columns(memory, Tile::columns);
  const TileKeys key = take_keys(memory, Tile::keys);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::columns, Tile::keys) : 0);

  load_columns(in, row, in.group, kv_head * in.group, tile.first_column, Tile::columns, column);
  __syncthreads();
  load_rows<Tile::columns, dim>(q, in.key_dim, in.key_fours, [&](int c) {
    return in.q + in.place(column.query[c], column.head[c]) * in.key_dim;
  });
  const int first_index = column.index[0], last_index = column.index[Tile::columns - 1];

  const TileThread at;
  Softmax<R> softmax;
  float2 sums[R][dim / 32];
  clear(sums);

  const auto next = [&](int t) {
    return next_visible_tile<Tile::keys>(plan, row, t, first_index, last_index);
  };
  const int tiles = parts_of(row.key_end - row.key_begin, Tile::keys);
  for (int t = next(0); t < tiles; t = next(t + 1)) {
    const int first = row.key_begin + t * Tile::keys;
    const int count = min(Tile::keys, row.key_end - first);
    const auto listed = [&](int k) { return k < count && in.listed(first + k) ? first + k : -1; };
    __syncthreads();  // the values before have been read
    load_keys(in, first, row.key_end, Tile::keys, key);
    if (drops) draw_tile<Tile::columns, Tile::keys>(in, column, first, kept);
    load_rows<Tile::keys, dim>(other, in.key_dim, in.key_fours, [&](int k) {
      const int j = listed(k);
      return j < 0 ? nullptr : in.key(j, kv_head);
    });
    __syncthreads();
    float scores[R][C];
    dot_rows<dim>(at, q, other, in.key_dim, scores);
    unrolled<R * C>([&](auto pair) {
      constexpr int i = decltype(pair)::value / C, j = decltype(pair)::value % C;
      const int c = at.y + tile_height * i, k = at.x + tile_lanes * j;
      const int index = column.index[c];
      const bool visible = key.begin[k] <= index && index < key.end[k];
      const float score = score_of(in, scores[i][j], column, c, key, k).value;
      scores[i][j] = visible ? score : -INFINITY;
    });
    float factors[R];
    exponentiate<tile_lanes>(scores, softmax, factors, [](float x) { return expf(x); });
    for (int i = 0; i < R; ++i) {
      const int c = at.y + tile_height * i;
      for (int j = 0; j < C; ++j) {
        const int k = at.x + tile_lanes * j;
        const float kept_factor = drops ? dropout_factor<Tile::keys>(in, kept, c, first, k) : 1.0F;
        weights.each[c * 4 * stride_of(Tile::keys) + k] = scores[i][j] * kept_factor;
      }
      for (int d = 0; d < dim / 32; ++d) {
        sums[i][d].x *= factors[i];
        sums[i][d].y *= factors[i];
      }
    }
    __syncthreads();  // the keys have been read
    load_rows<Tile::keys, dim>(other, in.value_dim, in.value_fours, [&](int k) {
      const int j = listed(k);
      return j < 0 ? nullptr : in.value(j, kv_head);
    });
    __syncthreads();
    add_weighted_rows<dim, Tile::keys>(at, weights, other, count, sums);
  }
  for (int i = 0; i < R; ++i) {
    const int c = at.y + tile_height * i;
    const SoftmaxEnd end = end_of<tile_lanes>(softmax, i);
    if (c >= columns) continue;
    const std::int64_t place = in.place(column.query[c], column.head[c]);
    store_row(at, sums[i], end.factor, in.value_dim, y + place * in.value_dim);
    if (log_sum_exp != nullptr && at.x == 0) log_sum_exp[place] = end.log_sum_exp;
  }
}

}  // namespace

void compute(const ops::Attention& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  Device& device = context.device;
  AttentionInputs in = attention_inputs(device, op);
  if (in.queries == 0) return;
  with_head_dim(in, [&](auto dim) {
    using Tile = ForwardTile<decltype(dim)::value>;
    ScratchPieces pieces;
    const int tiles = most_query_tiles(in, in.group, Tile::columns);
    const int splits = most_splits(in);
    const PlanMemory plan_memory(
        in, {in.group, Tile::columns, Tile::keys, Tile::keys, tiles, 0, splits}, pieces);
    const auto partials = pieces.add<float>(partial_floats(in, splits));
    const BiasMemory bias(op.spec.bias, in.heads, pieces);
    std::optional<StagingMemory> staging;
    if (context.dtype == Dtype::bf16) staging.emplace(in, Tile::dim, pieces);
    auto* memory = context.scratch.reserve(pieces.bytes());
    in.bias = bias.make(device, op.spec.bias, in.heads, memory);
    const AttentionPlan plan = plan_memory.make(device, in, op.visible.rows, memory);
    StagedInputs staged{};
    if (staging) staged = staging->make(device, in, plan, memory);  // before y, which may be q
    float* to = data_of<float>(op.y);
    float* log_sum = data_of<float>(op.log_sum_exp);
    clear_others(device, in, plan, std::int64_t{in.heads} * in.value_dim, to, log_sum);
    attend_single_queries(device, in, plan, splits, partials.in(memory), to, log_sum);
    if (tiles == 0) return;
    if (staging) return attend_tiles_in_bf16(device, in, staged, plan, tiles, to, log_sum);
    launch(device,
           {dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(in.kv_heads)),
            dim3(tile_threads), shared_of_tile<Tile::dim>(op.spec.dropout.probability > 0)},
           attention_kernel<Tile::dim>, in, plan, to, log_sum);
  });
}

}  // namespace gist::cuda
