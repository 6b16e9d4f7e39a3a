#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// An expert as it is chosen: larger logits first, NaN above all, then smaller numbers.
struct Candidate {
  float logit;
  int expert;

  __device__ bool before(const Candidate& other) const {
    const bool nan = logit != logit, other_nan = other.logit != other.logit;
    if (nan != other_nan) return nan;
    if (!nan && logit != other.logit) return logit > other.logit;
    return expert < other.expert;
  }
};

__device__ Candidate first_of_warp(Candidate own) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    const Candidate other{__shfl_xor_sync(whole_warp, own.logit, distance),
                          __shfl_xor_sync(whole_warp, own.expert, distance)};
    if (other.expert >= 0 && (own.expert < 0 || other.before(own))) own = other;
  }
  return own;
}

/// A warp a row, which is a block. The j-th expert is the first of those behind the one before.
__global__ void choose_kernel(const float* logits, int experts, int k, bool normalised,
                              std::int32_t* chosen, float* weights) {
  const std::int64_t row = blockIdx.x;
  const float* own = logits + row * experts;
  const int lane = static_cast<int>(threadIdx.x);
  Candidate last{0, -1};
  float peak = 0, total = 0;
  for (int j = 0; j < k; ++j) {
    Candidate best{0, -1};
    for (int e = lane; e < experts; e += warp_size) {
      const Candidate each{own[e], e};
      if (j > 0 && !last.before(each)) continue;
      if (best.expert < 0 || each.before(best)) best = each;
    }
    last = first_of_warp(best);
    if (j == 0) peak = last.logit;
    total += expf(last.logit - peak);
    if (lane == 0) {
      chosen[row * k + j] = last.expert;
      weights[row * k + j] = expf(last.logit - peak);
    }
  }
  if (!normalised) {
    total = 0;
    for (int e = lane; e < experts; e += warp_size) total += expf(own[e] - peak);
    total = reduce_warp<Sum>(total);
  }
  for (int j = 0; j < k && lane == 0; ++j) weights[row * k + j] /= total;
}

/// A block an expert, a run of the copies a thread: counts those of experts before its own, which
/// say where its places begin, and those of its own in the runs before.
__global__ void group_kernel(const std::int32_t* chosen, int copies, int k, std::int32_t* places,
                             std::int32_t* rows, std::int32_t* ends) {
  SharedMemory memory;
  const SharedArray<int> parts = memory.take<int>(warp_size);
  const SharedArray<int> counts = memory.take<int>(elementwise_threads);
  const int expert = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int each = (copies + elementwise_threads - 1) / elementwise_threads;
  const int begin = min(thread * each, copies), end = min(begin + each, copies);
  int before = 0, own = 0;
  for (int i = begin; i < end; ++i) {
    before += chosen[i] < expert ? 1 : 0;
    own += chosen[i] == expert ? 1 : 0;
  }
  counts[thread] = own;
  int place = reduce_block<Sum>(before, parts);
  const int all = reduce_block<Sum>(own, parts);
  if (thread == 0) ends[expert] = place + all;
  for (int i = 0; i < thread; ++i) {
    const int earlier = counts[i];
    place += earlier;
  }
  for (int i = begin; i < end; ++i) {
    if (chosen[i] != expert) continue;
    places[i] = place;
    rows[place] = i / k;
    ++place;
  }
}

/// A warp a row, which is a block; kernels/cpu/choose_experts.cpp says why.
__global__ void choose_backward_kernel(const float* logits, const std::int32_t* chosen,
                                       const float* weights, const float* dweights, int experts,
                                       int k, bool normalised, IndexCheck check, float* dlogits) {
  const std::int64_t row = blockIdx.x;
  const std::int32_t* own = chosen + row * k;
  const float* p = weights + row * k;
  const float* dp = dweights + row * k;
  const int lane = static_cast<int>(threadIdx.x);
  for (int j = 0; j < k; ++j) {
    if (!check.passes(static_cast<int>(row) * k + j, own[j])) return;
  }
  float mean = 0;
  for (int j = 0; j < k; ++j) mean += p[j] * dp[j];
  const float peak = logits[row * experts + own[0]];
  for (int e = lane; e < experts; e += warp_size) {
    float gradient = normalised ? 0 : -mean * p[0] * expf(logits[row * experts + e] - peak);
    for (int j = 0; j < k; ++j) {
      if (own[j] == e) gradient = p[j] * (dp[j] - mean);
    }
    dlogits[row * experts + e] = gradient;
  }
}

Grid a_warp_a_row(std::int64_t rows) {
  return {dim3(static_cast<unsigned>(rows)), dim3(warp_size)};
}

}  // namespace

void compute(const ops::ChooseExperts& op, Context& context) {
  const ExpertRouting& routing = op.routing;
  const int experts = static_cast<int>(op.logits.shape[1]);
  const int k = static_cast<int>(op.weights.shape[1]);
  if (!context.begin(op.name, op.weights)) {
    return context.device.zero(routing.ends.data, routing.ends.bytes());
  }
  launch(context.device, a_warp_a_row(op.logits.shape[0]), choose_kernel,
         data_of<const float>(op.logits), experts, k, op.normalised,
         data_of<std::int32_t>(routing.experts), data_of<float>(op.weights));
  launch(context.device,
         {dim3(static_cast<unsigned>(experts)), dim3(elementwise_threads),
          shared_bytes<int>(warp_size) + shared_bytes<int>(elementwise_threads)},
         group_kernel, data_of<const std::int32_t>(routing.experts),
         static_cast<int>(op.weights.shape.elements()), k, data_of<std::int32_t>(routing.places),
         data_of<std::int32_t>(routing.rows), data_of<std::int32_t>(routing.ends));
}

void compute(const ops::ChooseExpertsBackward& op, Context& context) {
  if (!context.begin(op.name, op.dlogits)) return;
  const std::int64_t experts = op.logits.shape[1];
  launch(context.device, a_warp_a_row(op.logits.shape[0]), choose_backward_kernel,
         data_of<const float>(op.logits), data_of<const std::int32_t>(op.experts),
         data_of<const float>(op.weights), data_of<const float>(op.dweights),
         static_cast<int>(experts), static_cast<int>(op.weights.shape[1]), op.normalised,
         IndexCheck(context.device, "choose_experts_backward: expected experts", experts),
         data_of<float>(op.dlogits));
}

}  // namespace gist::cuda
