// Sampling without sorting: which logits are kept, and which one is drawn, are found by bisection
// over the logits' bits. Each step sums a row once, always in the same order.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

constexpr int sample_threads = 256;

/// A value that isn't finite has this key, the largest.
constexpr unsigned no_number = 0xFFFFFFFFu;

/// A logit as an integer of the same order; -0 counts as 0. Never 0.
__device__ unsigned key_of(float logit) {
  const unsigned bits = __float_as_uint(logit + 0.0F);
  if ((bits & 0x7F800000u) == 0x7F800000u) return no_number;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ float logit_of(unsigned key) {
  return __uint_as_float((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

/// A row that the block shares.
struct Row {
  const float* logits;
  int vocabulary;
  int banned, banned_count;
  SharedArray<double> parts;  // 32

  __device__ bool bans(int id) const {
    return banned >= 0 && id >= banned && id - banned < banned_count;
  }
  /// 0 for an id that is never chosen.
  __device__ unsigned key(int id) const { return bans(id) ? 0 : key_of(logits[id]); }

  /// The sum of value(key) over the ids whose key is at least `least`, which is not 0.
  template <typename Value>
  __device__ double sum(unsigned least, Value value) const {
    double total = 0;
    for (int id = static_cast<int>(threadIdx.x); id < vocabulary; id += sample_threads) {
      const unsigned each = key(id);
      if (each >= least) total += value(each);
    }
    return reduce_block<Sum>(total, parts);
  }
};

/// The largest key that `holds`, which all below it do, too; 0 if none does.
template <typename Holds>
__device__ unsigned bisect(Holds holds) {
  unsigned found = 0;
  for (unsigned bit = 0x80000000u; bit != 0; bit /= 2) {
    if (holds(found | bit)) found |= bit;
  }
  return found;
}

/// The kept ids: those with a larger key, and the first `ties` of those with this key.
struct Kept {
  unsigned key = 1;
  double ties = 0;
};

struct Weight {
  float peak, temperature;
  __device__ double operator()(unsigned key) const {
    return exp((static_cast<double>(logit_of(key)) - peak) / temperature);
  }
};

struct One {
  __device__ double operator()(unsigned) const { return 1; }
};

/// The id with this key of which `before` others with the key come first. Each thread looks through
/// neighbours, so that their order is that of the threads.
__device__ void write_tie(const Row& row, unsigned key, double before, SharedArray<int> counts,
                          std::int32_t* id) {
  const int share = (row.vocabulary + sample_threads - 1) / sample_threads;
  const int thread = static_cast<int>(threadIdx.x);
  const int begin = min(thread * share, row.vocabulary);
  const int end = min(begin + share, row.vocabulary);
  int count = 0;
  for (int i = begin; i < end; ++i) count += row.key(i) == key ? 1 : 0;
  counts[thread] = count;
  __syncthreads();
  int first = 0;
  for (int i = 0; i < thread; ++i) first += counts[i];
  const int wanted = static_cast<int>(before);
  for (int i = begin; i < end; ++i) {
    if (row.key(i) == key && first++ == wanted) *id = i;
  }
}

/// A block a row.
__global__ void sample_kernel(const float* logits, int vocabulary, SamplingOptions options,
                              const float* uniform, std::int32_t* ids) {
  SharedMemory memory;
  const Row row{logits + static_cast<std::int64_t>(blockIdx.x) * vocabulary, vocabulary,
                options.banned, options.banned_count, memory.take<double>(warp_size)};
  const SharedArray<int> counts = memory.take<int>(sample_threads);
  const SharedArray<unsigned> peaks = memory.take<unsigned>(warp_size);
  std::int32_t* id = ids + blockIdx.x;
  unsigned peak = 0;
  for (int i = static_cast<int>(threadIdx.x); i < vocabulary; i += sample_threads) {
    const unsigned key = key_of(row.logits[i]);
    if (!row.bans(i) || key == no_number) peak = max(peak, key);
  }
  peak = reduce_block<Max>(peak, peaks);
  if (peak == no_number) {
    if (threadIdx.x == 0) *id = -1;
    return;
  }
  const float largest = logit_of(peak);
  if (options.temperature == 0) {
    write_tie(row, peak, 0, counts, id);
    return;
  }

  const Weight weight{largest, options.temperature};
  Kept kept;
  double total = row.sum(1, weight);
  if (options.top_k > 0) {
    const double k = options.top_k;
    const unsigned key = bisect([&](unsigned least) { return row.sum(least, One()) >= k; });
    if (key > 0) {  // else there are fewer than k
      kept = {key, k - row.sum(key + 1, One())};
      total = row.sum(key + 1, weight) + kept.ties * weight(key);
    }
  }
  // Weights of what is kept, at least this large.
  const auto mass_from = [&](unsigned least) {
    if (least <= kept.key) return total;
    return row.sum(least, weight);
  };
  const auto largest_kept = [&](auto reaches) {
    return bisect([&](unsigned least) { return reaches(mass_from(least)); });
  };
  // How many of those with this key are kept. Rounding may ask for one more than there are.
  const auto ties_of = [&](unsigned key) {
    return key == kept.key ? kept.ties : row.sum(key, One()) - row.sum(key + 1, One());
  };
  if (options.top_p < 1) {
    const double wanted = options.top_p * total;
    const unsigned key = largest_kept([&](double mass) { return mass >= wanted; });
    const double above = row.sum(key + 1, weight);
    const double ties = fmin(fmax(ceil((wanted - above) / weight(key)), 1.0), ties_of(key));
    kept = {key, ties};
    total = above + ties * weight(key);
  }
  const double wanted = static_cast<double>(uniform[blockIdx.x]) * total;
  const unsigned key = largest_kept([&](double mass) { return mass > wanted; });
  const double before = floor((wanted - row.sum(key + 1, weight)) / weight(key));
  write_tie(row, key, fmin(before, ties_of(key) - 1), counts, id);
}

}  // namespace

void compute(const ops::Sample& op, Context& context) {
  if (!context.begin(op.name, op.ids)) return;
  const Grid grid{dim3(static_cast<unsigned>(op.logits.shape[0])), dim3(sample_threads),
                  shared_bytes<double>(warp_size) + shared_bytes<int>(sample_threads) +
                      shared_bytes<unsigned>(warp_size)};
  launch(context.device, grid, sample_kernel, data_of<const float>(op.logits),
         static_cast<int>(op.logits.shape[1]), op.options, data_of<const float>(op.uniform),
         data_of<std::int32_t>(op.ids));
}

}  // namespace gist::cuda
