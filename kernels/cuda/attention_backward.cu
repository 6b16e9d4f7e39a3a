// Attention over intervals, backwards (Dao 2023, algorithm 2): what is the same whatever dtype the
// products of tiles are computed in. First the means of the probabilities' gradients; then one
// kernel has a tile of keys and goes through the columns that see any of them, for the gradients of
// keys and values, and another has a tile of columns and goes through their keys, for that of the
// queries and that of the bias' table (attention_f32_backward.cu, attention_bf16_backward.cu);
// last, the gradients of slots are summed from those of the entries that name them. Nothing is
// added atomically, but for counts of integers.
#include <algorithm>
#include <optional>

#include "kernels/cuda/attention_gradients.h"
#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_staging.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

constexpr int gradient_threads = 256;

/// mean[i] = dy[i] . y[i] of rows dy[n, stride] and y[n, dim]; a warp a query head. With dropout,
/// too: each probability's gradient has the factor that its weight has.
template <typename T>
__global__ void __launch_bounds__(gradient_threads)
    mean_gradients(const T* dy, int stride, const float* y, std::int64_t n, int dim, float* mean) {
  const std::int64_t i = first_element() / warp_size;
  if (i >= n) return;
  float sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % warp_size; d < dim; d += warp_size) {
    sum += to_f32(dy[i * stride + d]) * y[i * dim + d];
  }
  sum = reduce_warp<Sum>(sum);
  if (threadIdx.x % warp_size == 0) mean[i] = sum;
}

/// For each slot of the keys: how many entries of the list name it, which is the first (list -
/// entry; 0: none), and the row that lists it.
struct SlotMarks {
  int* count;
  int* first;
  int* row;
};

__device__ inline void raise(int* to, int value) {
  int found = *to;
  while (found < value) {
    const int before = atomicCAS(to, found, value);
    if (before == found) return;
    found = before;
  }
}

/// A block a tile of keys, a thread a key. The marks must be zeros before.
__global__ void mark_slots(AttentionInputs in, AttentionPlan plan, int tile_keys, SlotMarks marks) {
  if (static_cast<int>(blockIdx.x) >= plan.counts->key_tiles) return;
  const KeyTile tile = plan.key_tiles[blockIdx.x];
  const int k = static_cast<int>(threadIdx.x);
  const int j = tile.first + k;
  if (k >= tile_keys || j >= plan.rows[tile.row].key_end || !in.listed(j)) return;
  const int slot = in.slot[j];
  atomicAdd(marks.count + slot, 1);
  raise(marks.first + slot, static_cast<int>(in.list - j));
  marks.row[slot] = tile.row;  // no other row lists it
}

/// to[slot, width] = the sum of the gradients of its entries, in order, or zeros. A block a slot.
__global__ void __launch_bounds__(gradient_threads)
    sum_entries(AttentionInputs in, AttentionPlan plan, SlotMarks marks, const float* entries,
                int width, float* to) {
  const int slot = static_cast<int>(blockIdx.x);
  const int count = marks.count[slot];
  const int first = static_cast<int>(in.list) - marks.first[slot];
  const int last = count > 1 ? plan.rows[marks.row[slot]].key_end : first + 1;
  for (int d = static_cast<int>(threadIdx.x); d < width; d += gradient_threads) {
    float sum = 0;
    int left = count;
    for (int j = first; j < last && left > 0; ++j) {
      if (in.slot[j] != slot) continue;
      sum += entries[static_cast<std::int64_t>(j) * width + d];
      --left;
    }
    to[static_cast<std::int64_t>(slot) * width + d] = sum;
  }
}

/// A block a bucket of the run and head.
__global__ void __launch_bounds__(gradient_threads)
    add_bucket_sums(AttentionPlan plan, BucketSums buckets, int heads, float* dtable) {
  SharedMemory memory;
  const auto parts = memory.take<double>(warp_size);
  const int bucket = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  double sum = 0;
  for (int t = static_cast<int>(threadIdx.x); t < plan.counts->query_tiles; t += gradient_threads) {
    const std::int64_t place = static_cast<std::int64_t>(t) * heads + head;
    sum += static_cast<double>(buckets.partials[place * buckets.count + bucket]);
  }
  sum = reduce_block<Sum>(sum, parts);
  if (threadIdx.x == 0) {
    float& to = dtable[(buckets.first + bucket) * heads + head];
    to = static_cast<float>(static_cast<double>(to) + sum);
  }
}

Grid gradient_grid(std::int64_t x, std::int64_t y, std::size_t shared = 0) {
  return {dim3(static_cast<unsigned>(x), static_cast<unsigned>(y)), dim3(gradient_threads), shared};
}

/// A call keeps these in its scratch memory.
struct BackwardMemory {
  /// `width`: of staged rows; 0: none are.
  BackwardMemory(const AttentionInputs& in, const AttentionSpec& spec, std::int64_t slots,
                 const PlanSizes& sizes, int buckets, int width)
      : plan(in, sizes, pieces),
        bias(spec.bias, in.heads, pieces),
        mean(pieces.add<float>(std::int64_t{in.queries} * in.heads)),
        dkeys(pieces.add<float>(in.list * in.kv_heads * in.key_dim)),
        dvalues(pieces.add<float>(in.list * in.kv_heads * in.value_dim)),
        marks(pieces.add<int>(3 * slots)),
        partials(pieces.add<float>(std::int64_t{sizes.query_tiles} * in.heads *
                                   std::min(buckets, buckets_a_pass))) {
    if (width == 0) return;
    staging.emplace(in, width, pieces);
    dy.emplace(std::int64_t{in.queries} * in.heads, width, pieces);
  }

  ScratchPieces pieces;
  PlanMemory plan;
  BiasMemory bias;
  ScratchPiece<float> mean, dkeys, dvalues;
  ScratchPiece<int> marks;
  ScratchPiece<float> partials;
  std::optional<StagingMemory> staging;
  std::optional<StagedRows> dy;
};

template <typename T>
void find_means(Device& device, const AttentionInputs& in, const T* dy, int stride, const float* y,
                float* mean) {
  const std::int64_t heads = std::int64_t{in.queries} * in.heads;
  if (heads == 0) return;
  constexpr int warps = gradient_threads / warp_size;
  launch(device, gradient_grid((heads + warps - 1) / warps, 1), mean_gradients<T>, dy, stride, y,
         heads, in.value_dim, mean);
}

/// The queries' gradient, and the table's: a pass for each run of buckets, of which the last one
/// overwrites what may be q or dy.
void find_query_gradients(Device& device, const GradientInputs& from, QueryPass pass, Dtype dtype,
                          int buckets, float* dtable) {
  float* const dq = pass.dq;
  for (int first = 0; first == 0 || first < buckets; first += buckets_a_pass) {
    pass.buckets.first = first;
    pass.buckets.count = std::min(buckets_a_pass, buckets - first);
    pass.dq = first + pass.buckets.count == buckets ? dq : nullptr;
    (dtype == Dtype::bf16 ? query_gradients_bf16 : query_gradients_f32)(device, from, pass);
    if (pass.buckets.count == 0) continue;
    launch(device,
           gradient_grid(pass.buckets.count, from.in.heads, shared_bytes<double>(warp_size)),
           add_bucket_sums, from.plan, pass.buckets, from.in.heads, dtable);
  }
}

/// The gradients of slots from those of the entries that name them.
struct EntryGradients {
  const float* entries;  // [list, width]
  int width;
  float* slots;  // [slots, width]
};
void sum_by_slot(Device& device, const AttentionInputs& in, const AttentionPlan& plan,
                 int tile_keys, int key_tiles, std::int64_t slots, int* mark,
                 std::initializer_list<EntryGradients> gradients) {
  if (slots == 0) return;
  const SlotMarks marks{mark, mark + slots, mark + 2 * slots};
  device.zero(mark, static_cast<std::size_t>(3 * slots) * sizeof(int));
  if (key_tiles > 0) {
    launch(device, {dim3(static_cast<unsigned>(key_tiles)), dim3(static_cast<unsigned>(tile_keys))},
           mark_slots, in, plan, tile_keys, marks);
  }
  for (const EntryGradients& each : gradients) {
    launch(device, gradient_grid(slots, 1), sum_entries, in, plan, marks, each.entries, each.width,
           each.slots);
  }
}

}  // namespace

void compute(const ops::AttentionBackward& op, Context& context) {
  context.begin(op.name, op.dq);  // where no query is, keys and values have gradients still
  Device& device = context.device;
  const ops::Attention& forward = op.forward;
  const ops::AttentionSizes sizes = forward.sizes();
  AttentionInputs in = attention_inputs(device, forward);
  in.value_fours = in.value_fours && read_in_fours(op.dy, sizes.value_dim);
  const bool biased = forward.spec.bias.table.data != nullptr && op.dtable.data != nullptr;
  const int buckets = biased ? static_cast<int>(forward.spec.bias.table.shape[0]) : 0;
  const int pack = biased ? 1 : in.group;
  with_head_dim(in, [&](auto dim) {
    using Tile = GradientTile<decltype(dim)::value>;
    const int query_tiles = most_query_tiles(in, pack, Tile::own);
    const int key_tiles = static_cast<int>(in.list / Tile::own) + in.rows;
    const BackwardMemory at(in, forward.spec, sizes.slots,
                            {pack, Tile::own, Tile::own, Tile::other, query_tiles, key_tiles, 0},
                            buckets, context.dtype == Dtype::bf16 ? dim : 0);
    auto* memory = context.scratch.reserve(at.pieces.bytes());
    in.bias = at.bias.make(device, forward.spec.bias, in.heads, memory);
    const AttentionPlan plan = at.plan.make(device, in, forward.visible.rows, memory);
    const auto* gradient = data_of<const float>(op.dy);
    float* mean = at.mean.in(memory);
    GradientInputs from{
        in, {data_of<const float>(forward.log_sum_exp), gradient, mean}, plan, {}, nullptr};
    if (at.staging) {
      from.staged = at.staging->make(device, in, plan, memory);
      from.dy = at.dy->make(device, gradient, in.value_dim, in.value_fours, memory);
      find_means(device, in, from.dy, dim, data_of<const float>(forward.y), mean);
    } else {
      find_means(device, in, gradient, in.value_dim, data_of<const float>(forward.y), mean);
    }
    if (key_tiles > 0) {
      (context.dtype == Dtype::bf16 ? key_gradients_bf16 : key_gradients_f32)(
          device, from, key_tiles, at.dkeys.in(memory), at.dvalues.in(memory));
    }
    if (query_tiles > 0) {  // after the keys' gradients, as dq may be q
      find_query_gradients(device, from,
                           {pack, query_tiles, {at.partials.in(memory)}, data_of<float>(op.dq)},
                           context.dtype, buckets, data_of<float>(op.dtable));
    }
    if (in.queries > 0) {
      clear_others(device, in, plan, std::int64_t{in.heads} * in.key_dim, data_of<float>(op.dq),
                   nullptr);
    }
    sum_by_slot(device, in, plan, Tile::own, key_tiles, sizes.slots, at.marks.in(memory),
                {{at.dkeys.in(memory), in.kv_heads * in.key_dim, data_of<float>(op.dkeys)},
                 {at.dvalues.in(memory), in.kv_heads * in.value_dim, data_of<float>(op.dvalues)}});
  });
}

}  // namespace gist::cuda
