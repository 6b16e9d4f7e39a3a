// Which pieces of work a ragged batch of attention has. The table of rows stands in device memory,
// so that the pieces are listed there: grids are as large as the lists may become, and blocks
// beyond their ends return at once.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/scratch_pieces.h"

namespace gist::cuda {

/// A query and one of `pack` heads that a block takes together are a column: column c of a row is
/// its query c / pack and the block's head c % pack.
struct QueryTile {
  int row, first_column;
};
struct KeyTile {
  int row, first;  // of the key list
};
/// A part of the keys of a row with a single query.
struct KeySplit {
  int row, first;
};
constexpr int split_keys = 256;

/// No query outside of [min_begin, max_end) sees any of a block of the key list.
struct KeyBounds {
  int min_begin, max_end;
};

struct PlanCounts {
  int query_tiles, key_tiles, splits;
  int queries;  // that belong to a row
};

struct PlanSizes {
  int pack;                            // heads a column tile
  int tile_columns, tile_keys;         // the sizes of listed tiles
  int bound_keys;                      // of the blocks that bounds are taken of
  int query_tiles, key_tiles, splits;  // how long the lists may become; 0: no list
};

struct AttentionPlan {
  AttentionRow* rows;  // [rows]; what is wrong is reported and becomes empty
  int* first_split;    // [rows]; negative: the row has tiles
  PlanCounts* counts;  // [1]
  QueryTile* query_tiles;
  KeyTile* key_tiles;
  KeySplit* splits;
  KeyBounds* bounds;  // [list / bound_keys + 1]: of the entries from i * bound_keys on
};

/// RowChecks find what a row may not have.
struct RowChecks {
  IndexCheck query_begin, query_end, query_index, key_begin, key_end;
};

__device__ __host__ inline int parts_of(int n, int size) {
  return n / size + (n % size > 0);
}

__device__ inline AttentionRow checked_row(int r, AttentionRow row, RowChecks checks) {
  bool passes = checks.query_end.passes(r, row.query_end) && checks.key_end.passes(r, row.key_end);
  if (!passes) return {};
  checks.query_begin.limit = row.query_end + 1;
  checks.key_begin.limit = row.key_end + 1;
  passes = checks.query_begin.passes(r, row.query_begin) &&
           checks.key_begin.passes(r, row.key_begin) &&
           checks.query_index.passes(r, row.query_index);
  return passes ? row : AttentionRow{};
}

/// The sum of the values of the threads before this one, and of all. `parts`: 32 elements.
struct BlockSums {
  int before, all;
};
__device__ inline BlockSums sum_before(int value, SharedArray<int> parts) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  int inclusive = value;
  for (int distance = 1; distance < warp_size; distance *= 2) {
    const int other = __shfl_up_sync(whole_warp, inclusive, static_cast<unsigned>(distance));
    if (lane >= distance) inclusive += other;
  }
  __syncthreads();  // the parts may still be read by those before
  if (lane == warp_size - 1) parts[warp] = inclusive;
  __syncthreads();
  BlockSums sums{inclusive - value, 0};
  for (int i = 0; i < static_cast<int>(blockDim.x) / warp_size; ++i) {
    const int part = parts[i];
    if (i < warp) sums.before += part;
    sums.all += part;
  }
  return sums;
}

/// How many splits a row would have.
__device__ inline int splits_of(const AttentionRow& row, const PlanSizes& sizes) {
  const bool single = sizes.splits > 0 && row.query_end - row.query_begin == 1;
  return single ? parts_of(row.key_end - row.key_begin, split_keys) : 0;
}
__device__ inline int query_tiles_of(const AttentionRow& row, const PlanSizes& sizes) {
  return parts_of((row.query_end - row.query_begin) * sizes.pack, sizes.tile_columns);
}
__device__ inline int key_tiles_of(const AttentionRow& row, const PlanSizes& sizes) {
  return sizes.key_tiles > 0 ? parts_of(row.key_end - row.key_begin, sizes.tile_keys) : 0;
}

constexpr int plan_threads = 256;

/// One block: each thread takes a run of rows. Of a row, tiles of later queries come first, as they
/// see more keys where rows are causal. Rows may share keys, so that splits may be more than there
/// is room for; rows with a single query that find none have a tile.
static __global__ void plan_rows(const AttentionRow* rows, int count, RowChecks checks,
                                 PlanSizes sizes, AttentionPlan plan) {
  SharedMemory memory;
  const SharedArray<int> parts = memory.take<int>(warp_size);
  const int thread = static_cast<int>(threadIdx.x);
  const int each = parts_of(count, plan_threads);
  const int begin = min(count, thread * each);
  const int end = min(count, begin + each);
  int sum = 0;
  for (int r = begin; r < end; ++r) {
    plan.rows[r] = checked_row(r, rows[r], checks);
    sum += splits_of(plan.rows[r], sizes);
  }
  int split = sum_before(sum, parts).before;
  int splits = 0, query_tiles = 0, key_tiles = 0, queries = 0;
  for (int r = begin; r < end; ++r) {
    const AttentionRow row = plan.rows[r];
    const int wanted = splits_of(row, sizes);
    const bool fits = wanted > 0 && split <= sizes.splits - wanted;
    plan.first_split[r] = fits ? split : -1;
    for (int i = 0; i < wanted && fits; ++i) {
      plan.splits[split + i] = {r, row.key_begin + i * split_keys};
    }
    split = min(split + wanted, sizes.splits);
    if (fits) splits += wanted;
    if (!fits) query_tiles += query_tiles_of(row, sizes);
    key_tiles += key_tiles_of(row, sizes);
    queries += row.query_end - row.query_begin;
  }
  const int all_splits = sum_before(splits, parts).all;
  const BlockSums query_tile = sum_before(query_tiles, parts);
  const BlockSums key_tile = sum_before(key_tiles, parts);
  const BlockSums owned = sum_before(queries, parts);
  if (thread == 0) {
    *plan.counts = {min(query_tile.all, sizes.query_tiles), min(key_tile.all, sizes.key_tiles),
                    all_splits, owned.all};
  }
  int to_query = query_tile.before, to_key = key_tile.before;
  for (int r = begin; r < end; ++r) {
    const AttentionRow row = plan.rows[r];
    const int tiles = plan.first_split[r] < 0 ? query_tiles_of(row, sizes) : 0;
    for (int i = tiles - 1; i >= 0 && to_query < sizes.query_tiles; --i) {
      plan.query_tiles[to_query++] = {r, i * sizes.tile_columns};
    }
    for (int i = 0; i < key_tiles_of(row, sizes) && to_key < sizes.key_tiles; ++i) {
      plan.key_tiles[to_key++] = {r, row.key_begin + i * sizes.tile_keys};
    }
  }
}

constexpr int bounds_threads = 128;

/// A warp a block of the key list.
static __global__ void bound_blocks(AttentionInputs in, int bound_keys, KeyBounds* bounds) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int block = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / warp_size);
  const std::int64_t first = std::int64_t{block} * bound_keys;
  if (first > in.list) return;
  int min_begin = INT32_MAX, max_end = INT32_MIN;
  for (int i = lane; i < bound_keys; i += warp_size) {
    const std::int64_t j = first + i;
    if (j >= in.list || in.begin[j] >= in.end[j]) continue;
    min_begin = min(min_begin, static_cast<int>(in.begin[j]));
    max_end = max(max_end, static_cast<int>(in.end[j]));
  }
  // ~x falls where x rises, and does not overflow
  min_begin = ~reduce_warp<Max>(~min_begin);
  max_end = reduce_warp<Max>(max_end);
  if (lane == 0) bounds[block] = {min_begin, max_end};
}

/// The first of a row's tiles of `keys` keys, from `tile` on, of which queries with an index in
/// [first, last] may see any, or how many tiles there are. Bounds are of blocks of as many keys.
/// All threads of a warp must call, and get the same.
template <int keys>
__device__ int next_visible_tile(const AttentionPlan& plan, const AttentionRow& row, int tile,
                                 int first, int last) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int tiles = parts_of(row.key_end - row.key_begin, keys);
  for (; tile < tiles; tile += warp_size) {
    bool visible = false;
    if (tile + lane < tiles) {  // it lies within two blocks of the list
      const int from = row.key_begin + (tile + lane) * keys;
      const KeyBounds a = plan.bounds[from / keys];
      const KeyBounds b = plan.bounds[min(from / keys + 1, (row.key_end - 1) / keys)];
      visible = min(a.min_begin, b.min_begin) <= last && max(a.max_end, b.max_end) > first;
    }
    const unsigned found = __ballot_sync(whole_warp, visible);
    if (found != 0) return tile + __ffs(static_cast<int>(found)) - 1;
  }
  return tiles;
}

/// Queries of no row: zeros in x[queries, width], and -infinity in log_sum_exp[queries, heads].
static __global__ void clear_queries_of_no_row(AttentionPlan plan, int rows, int queries, int heads,
                                               std::int64_t width, float* x, float* log_sum_exp) {
  if (plan.counts->queries == queries) return;
  for (std::int64_t i = first_element(); i < queries; i += element_step()) {
    bool owned = false;
    for (int r = 0; r < rows && !owned; ++r) {
      owned = plan.rows[r].query_begin <= i && i < plan.rows[r].query_end;
    }
    if (owned) continue;
    for (std::int64_t d = 0; d < width; ++d) x[i * width + d] = 0;
    if (log_sum_exp == nullptr) continue;
    for (int h = 0; h < heads; ++h) log_sum_exp[i * heads + h] = -INFINITY;
  }
}

/// Queues zeros for the queries of no row.
inline void clear_others(Device& device, const AttentionInputs& in, const AttentionPlan& plan,
                         std::int64_t width, float* x, float* log_sum_exp) {
  launch(device, elementwise_grid(device, in.queries), clear_queries_of_no_row, plan, in.rows,
         in.queries, in.heads, width, x, log_sum_exp);
}

/// PlanMemory is what a plan needs of a call's scratch memory.
class PlanMemory {
 public:
  PlanMemory(const AttentionInputs& in, PlanSizes sizes, ScratchPieces& pieces)
      : sizes_(sizes),
        blocks_(in.list / sizes.bound_keys + 1),
        rows_(pieces.add<AttentionRow>(in.rows)),
        first_split_(pieces.add<int>(in.rows)),
        counts_(pieces.add<PlanCounts>(1)),
        query_tiles_(pieces.add<QueryTile>(sizes.query_tiles)),
        key_tiles_(pieces.add<KeyTile>(sizes.key_tiles)),
        splits_(pieces.add<KeySplit>(sizes.splits)),
        bounds_(pieces.add<KeyBounds>(blocks_)) {}

  /// Queues what fills the plan.
  AttentionPlan make(Device& device, const AttentionInputs& in, const Tensor& rows,
                     std::byte* memory) const {
    const AttentionPlan plan{rows_.in(memory),        first_split_.in(memory), counts_.in(memory),
                             query_tiles_.in(memory), key_tiles_.in(memory),   splits_.in(memory),
                             bounds_.in(memory)};
    const RowChecks checks{
        {device, "attention: expected query_begin of rows", 0},
        {device, "attention: expected query_end of rows", std::int64_t{in.queries} + 1},
        {device, "attention: expected query_index of rows", INT32_MAX - in.queries},
        {device, "attention: expected key_begin of rows", 0},
        {device, "attention: expected key_end of rows", in.list + 1}};
    launch(device, {dim3(1), dim3(plan_threads), shared_bytes<int>(warp_size)}, plan_rows,
           data_of<const AttentionRow>(rows), in.rows, checks, sizes_, plan);
    const std::int64_t warps = bounds_threads / warp_size;
    launch(device,
           {dim3(static_cast<unsigned>((blocks_ + warps - 1) / warps)), dim3(bounds_threads)},
           bound_blocks, in, sizes_.bound_keys, plan.bounds);
    return plan;
  }

 private:
  PlanSizes sizes_;
  std::int64_t blocks_;
  ScratchPiece<AttentionRow> rows_;
  ScratchPiece<int> first_split_;
  ScratchPiece<PlanCounts> counts_;
  ScratchPiece<QueryTile> query_tiles_;
  ScratchPiece<KeyTile> key_tiles_;
  ScratchPiece<KeySplit> splits_;
  ScratchPiece<KeyBounds> bounds_;
};

/// At most so many tiles have all rows together.
inline int most_query_tiles(const AttentionInputs& in, int pack, int tile_columns) {
  return static_cast<int>(std::int64_t{in.queries} * pack / tile_columns) +
         std::min(in.rows, in.queries);
}

}  // namespace gist::cuda
