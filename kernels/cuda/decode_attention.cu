// Attention of rows with a single query. A block has a split of 256 of a row's keys and up to eight
// of the query heads that read one key head: it lists the keys that the query sees, and reads only
// those. What it gives is a partial softmax; a second kernel merges those of a row in order, so
// that a row's bits do not depend on the batch around it.
//
// 2 heads * (key_dim + value_dim) FLOPs and 4 kv_heads * (key_dim + value_dim) bytes for each
// visible key, the bytes again for every eight heads of a key head beyond the first eight (then
// mostly from the L2 cache), and 8 (2 + value_dim) heads bytes a split. The bytes over the device's
// bandwidth are a bound on the time.
#include "kernels/cuda/decode_attention.h"

#include <algorithm>

#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

constexpr int threads = split_keys;  // a thread a key, where keys are looked through
constexpr int warps = threads / warp_size;
constexpr int key_lanes = 8;  // threads that share a key's product
constexpr int merge_threads = 128;
constexpr int most_columns = 8;

/// What the block of a split has.
template <int columns>
struct SplitMemory {
  SharedMemory memory;
  SharedArray<float4> q;       // [columns, key fours]
  SharedArray<float4> sums;    // [columns, threads]
  SharedArray<float> weights;  // [columns, split_keys]: scores, then what values are weighted with
  SharedArray<int> entry;      // [split_keys]: the visible keys, in order
  SharedArray<int> counts;     // [warps]

  __device__ explicit SplitMemory(int key_fours)
      : q(memory.take<float4>(columns * key_fours)),
        sums(memory.take<float4>(columns * threads)),
        weights(memory.take<float>(columns * split_keys)),
        entry(memory.take<int>(split_keys)),
        counts(memory.take<int>(warps)) {}

  static std::size_t bytes(int key_fours) {
    return shared_bytes<float4>(columns * key_fours) + shared_bytes<float4>(columns * threads) +
           shared_bytes<float>(columns * split_keys) + shared_bytes<int>(split_keys) +
           shared_bytes<int>(warps);
  }
};

/// Lists the split's keys that the row's query sees; how many.
__device__ int list_visible(const AttentionInputs& in, const AttentionRow& row, int first,
                            const SharedArray<int>& entry, const SharedArray<int>& counts) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % warp_size, warp = thread / warp_size;
  const int j = first + thread;
  const bool visible = j < row.key_end && in.slots.passes(j, in.slot[j]) &&
                       in.begin[j] <= row.query_index && row.query_index < in.end[j];
  const unsigned found = __ballot_sync(whole_warp, visible);
  if (lane == 0) counts[warp] = __popc(found);
  __syncthreads();
  int before = __popc(found & ((1u << lane) - 1)), all = 0;
  for (int w = 0; w < warps; ++w) {
    const int count = counts[w];
    if (w < warp) before += count;
    all += count;
  }
  if (visible) entry[before] = j;
  return all;
}

/// weights[c, k] = the score of column c and the k-th visible key. Eight threads share a key.
template <int columns>
__device__ void score_keys(const AttentionInputs& in, const SplitMemory<columns>& m, int n,
                           int query, int head, int kv_head) {
  const int lane = static_cast<int>(threadIdx.x) % key_lanes;
  const int fours = (in.key_dim + 3) / 4;
  for (int base = 0; base < n; base += threads / key_lanes) {  // shuffles need all threads
    const int k = base + static_cast<int>(threadIdx.x) / key_lanes;
    const int j = m.entry[min(k, n - 1)];
    const float* key = in.key(j, kv_head);
    float dots[columns];
    for (int c = 0; c < columns; ++c) dots[c] = 0;
    for (int d = lane; d < fours; d += key_lanes) {
      const float4 part = load_four(key, 4 * d, in.key_dim, in.key_fours);
      for (int c = 0; c < columns; ++c) {
        const float4 q = m.q[c * fours + d];
        dots[c] += q.x * part.x;
        dots[c] += q.y * part.y;
        dots[c] += q.z * part.z;
        dots[c] += q.w * part.w;
      }
    }
    float own = 0;  // of the column that this thread finishes
    for (int c = 0; c < columns; ++c) {
      for (int distance = key_lanes / 2; distance > 0; distance /= 2) {
        dots[c] += __shfl_xor_sync(whole_warp, dots[c], distance);
      }
      if (c == lane) own = dots[c];
    }
    if (k >= n || lane >= columns || head + lane >= in.heads) continue;
    const int place = in.bias.bias == nullptr
                          ? 0
                          : in.bias.place(in.bias.key_positions[j], in.bias.query_positions[query]);
    m.weights[lane * split_keys + k] = score_of(in, own, head + lane, place).value;
  }
}

/// A warp a column: scores become weights, and partial[0, 2) the largest and the sum.
__device__ inline void weigh_keys(const AttentionInputs& in, const SharedArray<float>& weights,
                                  const SharedArray<int>& entry, int n, std::int64_t place,
                                  float* partial) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  float maximum = -INFINITY;
  for (int k = lane; k < n; k += warp_size) maximum = fmaxf(maximum, weights[k]);
  maximum = reduce_warp<Max>(maximum);
  const float reference = maximum == -INFINITY ? 0 : maximum;
  float sum = 0;
  for (int k = lane; k < n; k += warp_size) {
    float weight = expf(weights[k] - reference);
    sum += weight;
    if (in.dropout.on()) {
      const int j = entry[k];
      weight *= in.kept_of_four(place, j / 4) >> j % 4 & 1 ? in.dropout.factor : 0;
    }
    weights[k] = weight;
  }
  sum = reduce_warp<Sum>(sum);
  if (lane == 0) {
    partial[0] = maximum;
    partial[1] = sum;
  }
}

/// The weighted sums of the visible keys' values. A thread has four elements of each `groups`-th
/// key; m.sums are then added in order.
template <int columns>
__device__ void sum_values(const AttentionInputs& in, const SplitMemory<columns>& m, int n,
                           int kv_head, int used, float* partial) {
  const int fours = (in.value_dim + 3) / 4;
  const int groups = threads / fours;
  const int group = static_cast<int>(threadIdx.x) / fours;
  const int four = static_cast<int>(threadIdx.x) % fours;
  float4 sums[columns];
  for (int c = 0; c < columns; ++c) sums[c] = make_float4(0, 0, 0, 0);
  for (int k = group < groups ? group : n; k < n; k += groups) {
    const float4 value =
        load_four(in.value(m.entry[k], kv_head), 4 * four, in.value_dim, in.value_fours);
    for (int c = 0; c < columns; ++c) {
      if (c >= used) break;
      const float weight = m.weights[c * split_keys + k];
      sums[c].x += weight * value.x;
      sums[c].y += weight * value.y;
      sums[c].z += weight * value.z;
      sums[c].w += weight * value.w;
    }
  }
  for (int c = 0; c < columns; ++c) m.sums[c * threads + static_cast<int>(threadIdx.x)] = sums[c];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < used * fours; i += threads) {
    const int c = i / fours, d = i % fours;
    float4 sum = m.sums[c * threads + d];
    for (int g = 1; g < groups; ++g) {
      const float4 each = m.sums[c * threads + g * fours + d];
      sum = make_float4(sum.x + each.x, sum.y + each.y, sum.z + each.z, sum.w + each.w);
    }
    float* to = partial + static_cast<std::int64_t>(c) * (2 + in.value_dim) + 2 + 4 * d;
    for (int e = 0; e < 4 && 4 * d + e < in.value_dim; ++e) to[e] = part_of(sum, e);
  }
}

/// Grid: (splits, key heads * their parts of `columns` heads).
template <int columns>
__global__ void __launch_bounds__(threads)
    split_kernel(AttentionInputs in, AttentionPlan plan, float* partials) {
  const int parts = parts_of(in.group, columns);
  const int kv_head = static_cast<int>(blockIdx.y) / parts;
  const int member = static_cast<int>(blockIdx.y) % parts * columns;
  const int head = kv_head * in.group + member;
  const int used = min(columns, in.group - member);
  const int thread = static_cast<int>(threadIdx.x);
  const int fours = (in.key_dim + 3) / 4;
  const SplitMemory<columns> m(fours);
  for (int s = static_cast<int>(blockIdx.x); s < plan.counts->splits;
       s += static_cast<int>(gridDim.x)) {
    const KeySplit split = plan.splits[s];
    const AttentionRow row = plan.rows[split.row];
    float* partial =
        partials + (static_cast<std::int64_t>(s) * in.heads + head) * (2 + in.value_dim);
    __syncthreads();  // the split before is done
    for (int i = thread; i < columns * fours; i += threads) {
      const int c = min(i / fours, used - 1);
      m.q[i] = load_four(in.q + in.place(row.query_begin, head + c) * in.key_dim, 4 * (i % fours),
                         in.key_dim, in.key_fours);
    }
    const int n = list_visible(in, row, split.first, m.entry, m.counts);
    __syncthreads();
    score_keys(in, m, n, row.query_begin, head, kv_head);
    __syncthreads();
    const int warp = thread / warp_size;
    if (warp < used) {
      weigh_keys(in, m.weights.from(warp * split_keys), m.entry, n,
                 in.place(row.query_begin, head + warp),
                 partial + static_cast<std::int64_t>(warp) * (2 + in.value_dim));
    }
    __syncthreads();
    sum_values(in, m, n, kv_head, used, partial);
  }
}

/// A block a row and head.
__global__ void __launch_bounds__(merge_threads)
    merge_splits(AttentionInputs in, AttentionPlan plan, const float* partials, float* y,
                 float* log_sum_exp) {
  const int first = plan.first_split[blockIdx.x];
  if (first < 0) return;
  const AttentionRow row = plan.rows[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y);
  const int parts = parts_of(row.key_end - row.key_begin, split_keys);
  const std::int64_t place = in.place(row.query_begin, head);
  const auto partial = [&](int part) {
    return partials +
           (static_cast<std::int64_t>(first + part) * in.heads + head) * (2 + in.value_dim);
  };
  float maximum = -INFINITY;
  for (int part = 0; part < parts; ++part) maximum = fmaxf(maximum, partial(part)[0]);
  const float reference = maximum == -INFINITY ? 0 : maximum;
  float sum = 0;
  for (int part = 0; part < parts; ++part) {
    sum += partial(part)[1] * expf(partial(part)[0] - reference);
  }
  for (int d = static_cast<int>(threadIdx.x); d < in.value_dim; d += merge_threads) {
    float each = 0;
    for (int part = 0; part < parts; ++part) {
      each += partial(part)[2 + d] * expf(partial(part)[0] - reference);
    }
    y[place * in.value_dim + d] = sum == 0 ? 0 : each / sum;
  }
  if (log_sum_exp != nullptr && threadIdx.x == 0) {
    log_sum_exp[place] = sum == 0 ? -INFINITY : maximum + logf(sum);
  }
}

template <int columns>
void launch_splits(Device& device, const AttentionInputs& in, const AttentionPlan& plan, int splits,
                   float* partials) {
  // As many blocks as there are splits where rows share no keys.
  const std::int64_t blocks = std::min<std::int64_t>(splits, in.list / split_keys + in.rows);
  const int heads = in.kv_heads * parts_of(in.group, columns);
  launch(device,
         {dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(heads)), dim3(threads),
          SplitMemory<columns>::bytes((in.key_dim + 3) / 4)},
         split_kernel<columns>, in, plan, partials);
}

}  // namespace

int most_splits(const AttentionInputs& in) {
  constexpr std::int64_t good_floats = std::int64_t{16} << 20;
  const std::int64_t rows = std::min(in.rows, in.queries);
  const std::int64_t unshared = in.list / split_keys + rows;
  const std::int64_t most = rows * (in.list / split_keys + 1);
  return static_cast<int>(std::min(most, std::max(unshared, good_floats / partial_floats(in, 1))));
}

void attend_single_queries(Device& device, const AttentionInputs& in, const AttentionPlan& plan,
                           int splits, float* partials, float* y, float* log_sum_exp) {
  if (splits == 0) return;
  if (in.group == 1) {
    launch_splits<1>(device, in, plan, splits, partials);
  } else if (in.group <= 4) {
    launch_splits<4>(device, in, plan, splits, partials);
  } else {
    launch_splits<most_columns>(device, in, plan, splits, partials);
  }
  launch(
      device,
      {dim3(static_cast<unsigned>(in.rows), static_cast<unsigned>(in.heads)), dim3(merge_threads)},
      merge_splits, in, plan, partials, y, log_sum_exp);
}

}  // namespace gist::cuda
