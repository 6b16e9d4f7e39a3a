#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

struct Excluded {
  const std::int32_t* ids;
  int count;
};

Excluded excluded_of(const DivergenceSpec& spec) {
  if (spec.excluded.data == nullptr) return {nullptr, 0};
  return {data_of<const std::int32_t>(spec.excluded), static_cast<int>(spec.excluded.shape[0])};
}

/// Takes the excluded ids' logits out of a row, and keeps them where `taken` isn't null.
__device__ void take_excluded(float* z, std::int64_t choices, Excluded excluded, float* taken) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < excluded.count; i += blockDim.x) {
    const std::int32_t id = excluded.ids[i];
    if (taken != nullptr) taken[i] = id >= 0 && id < choices ? z[id] : 0;
  }
  __syncthreads();  // an id may stand there twice
  for (int i = static_cast<int>(threadIdx.x); i < excluded.count; i += blockDim.x) {
    const std::int32_t id = excluded.ids[i];
    if (id >= 0 && id < choices) z[id] = -INFINITY;
  }
  __syncthreads();
}

/// log sum exp(z) over n ids, to which those that are taken out add nothing.
__device__ float log_sum_of(const float* z, std::int64_t n, SharedArray<float> parts) {
  float peak = -INFINITY, sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) peak = fmaxf(peak, z[i]);
  peak = reduce_block<Max>(peak, parts);
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += expf(z[i] - peak);
  return peak + logf(reduce_block<Sum>(sum, parts));
}

/// A block a row of logits, of which the k largest are looked for one after the other.
__global__ void top_choices_kernel(LogitRows rows, std::int64_t choices, Excluded excluded, int k,
                                   std::int32_t* ids, float* log_p) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const SharedArray<int> places = memory.take<int>(warp_size);
  float* z = rows.logits + blockIdx.x * rows.vocabulary;
  ids += static_cast<std::int64_t>(blockIdx.x) * k;
  log_p += static_cast<std::int64_t>(blockIdx.x) * k;
  const float spoilt = cap_row(z, rows, parts);
  if (spoilt != 0) {  // NaN, and the same for all threads
    for (int j = static_cast<int>(threadIdx.x); j < k; j += blockDim.x) {
      ids[j] = -1;
      log_p[j] = spoilt;
    }
    return;
  }
  take_excluded(z, choices, excluded, nullptr);
  const float log_sum = log_sum_of(z, choices, parts);
  Largest last{INFINITY, -1};
  for (int j = 0; j < k; ++j) {
    Largest next{-INFINITY, 0x7FFFFFFF};
    for (std::int64_t i = threadIdx.x; i < choices; i += blockDim.x) {
      const float value = z[i];
      const int place = static_cast<int>(i);
      if (value > last.value || (value == last.value && place <= last.place)) continue;
      next = larger(next, {value, place});
    }
    last = largest_of_block(next, parts, places);
    const bool any = last.value > -INFINITY;
    if (threadIdx.x == 0) {
      ids[j] = any ? last.place : -1;
      log_p[j] = last.value - log_sum;
    }
  }
}

/// What is computed of a row's labels and of what its teacher expects.
struct TopLoss {
  const std::int32_t* labels;
  const std::int32_t* ids;  // [rows, k]
  const float* log_p;
  int k;
  float* loss;
  float* divergence;
  float of_label, of_each;      // what a label's target gives to it, and to each id besides
  float of_labels, of_teacher;  // the parts of the gradient, with its factor
  bool gradients;
};

/// A block a row of the student's logits, in whose place it leaves the gradient. `taken` and
/// `known` are memory: [rows, excluded] and [rows, k].
__global__ void top_distillation_kernel(LogitRows rows, std::int64_t choices, Excluded excluded,
                                        TopLoss loss, IndexCheck check, float* taken,
                                        float* known) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const std::int64_t row = blockIdx.x;
  float* z = rows.logits + row * rows.vocabulary;
  taken += row * excluded.count;
  known += row * loss.k;
  const std::int32_t* ids = loss.ids + row * loss.k;
  const float* log_p = loss.log_p + row * loss.k;
  const std::int32_t label = loss.labels[row];
  if (!check.passes(static_cast<int>(row), label)) return;
  const float spoilt = cap_row(z, rows, parts);
  __syncthreads();
  const float wanted = z[label];
  const float log_sum = log_sum_of(z, rows.vocabulary, parts);
  float total = 0;
  for (std::int64_t i = threadIdx.x; i < rows.vocabulary; i += blockDim.x) total += z[i];
  total = reduce_block<Sum>(total, parts);
  take_excluded(z, choices, excluded, taken);
  const float choices_log_sum = log_sum_of(z, choices, parts);

  const auto slope = [&rows](float value) {
    const float ratio = rows.soft_cap > 0 ? value / rows.soft_cap : 0;
    return rows.scale * (1 - ratio * ratio);
  };
  const auto stands = [&](std::int32_t id) {
    return id >= 0 && id < choices && z[id] != -INFINITY;
  };
  float divergence = 0, mass = 0;
  for (int j = static_cast<int>(threadIdx.x); j < loss.k; j += blockDim.x) {
    known[j] = 0;
    if (!stands(ids[j])) continue;
    const float own = z[ids[j]], p = expf(log_p[j]);
    mass += p;
    divergence += p * (log_p[j] - (own - choices_log_sum));
    known[j] = loss.of_teacher * p * slope(own);
  }
  mass = reduce_block<Sum>(mass, parts);
  divergence = reduce_block<Sum>(divergence, parts);
  if (threadIdx.x == 0) {
    loss.loss[row] = log_sum - loss.of_label * wanted - loss.of_each * total + spoilt;
    loss.divergence[row] = divergence + spoilt;
  }
  if (!loss.gradients) return;

  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < rows.vocabulary; i += blockDim.x) {
    const float own = z[i];
    if (own == -INFINITY) continue;  // it comes below
    float d = loss.of_labels * (expf(own - log_sum) - loss.of_each);
    if (i < choices) d += loss.of_teacher * mass * expf(own - choices_log_sum);
    z[i] = d * slope(own);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < excluded.count; i += blockDim.x) {
    const std::int32_t id = excluded.ids[i];
    if (id < 0 || id >= choices) continue;
    z[id] = loss.of_labels * (expf(taken[i] - log_sum) - loss.of_each) * slope(taken[i]);
  }
  __syncthreads();
  if (threadIdx.x == 0) z[label] -= loss.of_labels * loss.of_label * slope(wanted);
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < loss.k; j += blockDim.x) {
    if (known[j] != 0) z[ids[j]] -= known[j];
  }
}

Grid grid_of(std::int64_t rows) {
  return {dim3(static_cast<unsigned>(rows)), dim3(elementwise_threads),
          shared_bytes<float>(warp_size) + shared_bytes<int>(warp_size)};
}

}  // namespace

void compute(const ops::LinearTopChoices& op, Context& context) {
  if (!context.begin(op.name, op.top.ids)) return;
  const HeadInput& input = op.input;
  const Tensor& head = weight_of(*input.head);
  const std::int64_t m = input.hidden.shape[0], vocabulary = head.shape[0];
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  ScratchPieces pieces;
  const auto logits = pieces.add<float>(chunk * vocabulary);
  const FactorMemory head_memory(context, head, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  const Tensor factor = head_memory.make(context.device, head, memory);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    gemm(context, input.hidden.rows(first, end), factor, input.bias,
         {logits.in(memory), Dtype::f32, {end - first, vocabulary}});
    launch(context.device, grid_of(end - first), top_choices_kernel,
           LogitRows{logits.in(memory), vocabulary, input.scale, input.soft_cap}, op.spec.choices,
           excluded_of(op.spec), static_cast<int>(op.top.ids.shape[1]),
           data_of<std::int32_t>(op.top.ids.rows(first, end)),
           data_of<float>(op.top.log_p.rows(first, end)));
  }
}

void compute(const ops::TopDistillation& op, Context& context) {
  if (!context.begin(op.name, op.loss)) return;
  const std::int64_t m = op.hidden.shape[0], vocabulary = op.head.shape[0];
  const std::int64_t k = op.teacher.ids.shape[1];
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  const Excluded excluded = excluded_of(op.spec);
  ScratchPieces pieces;
  const auto logits = pieces.add<float>(chunk * vocabulary);
  const auto taken = pieces.add<float>(chunk * excluded.count);
  const auto known = pieces.add<float>(chunk * k);
  // Each is a factor of two products.
  const FactorMemory head_memory(context, op.head, pieces),
      hidden_memory(context, op.hidden, pieces),
      dlogits_memory(context, {nullptr, Dtype::f32, {chunk, vocabulary}}, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  Device& device = context.device;
  const Tensor weight = head_memory.make(device, op.head, memory);
  const Tensor states = hidden_memory.make(device, op.hidden, memory);
  const CrossEntropySpec& spec = op.cross_entropy;
  const bool gradients = op.dhidden.data != nullptr;
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    const Tensor values{logits.in(memory), Dtype::f32, {end - first, vocabulary}};
    gemm(context, states.rows(first, end), weight, op.bias, values);
    launch(device, grid_of(end - first), top_distillation_kernel,
           LogitRows{logits.in(memory), vocabulary, spec.scale, spec.soft_cap}, op.spec.choices,
           excluded,
           TopLoss{data_of<const std::int32_t>(op.labels.rows(first, end)),
                   data_of<const std::int32_t>(op.teacher.ids.rows(first, end)),
                   data_of<const float>(op.teacher.log_p.rows(first, end)), static_cast<int>(k),
                   data_of<float>(op.loss.rows(first, end)),
                   data_of<float>(op.divergence.rows(first, end)), 1 - spec.label_smoothing,
                   spec.label_smoothing / static_cast<float>(vocabulary),
                   spec.factor * (1 - op.weight), spec.factor * op.weight, gradients},
           IndexCheck(device, "top_distillation: expected labels", vocabulary), taken.in(memory),
           known.in(memory));
    if (!gradients) continue;
    const Tensor dlogits = dlogits_memory.make(device, values, memory);
    input_gradient(context, {.dy = dlogits, .w = weight, .dx = op.dhidden.rows(first, end)});
    if (op.dhead.data == nullptr) continue;
    weight_gradient(context, {.dy = dlogits, .x = states.rows(first, end), .dw = op.dhead});
    if (op.dbias.data == nullptr) continue;
    add_rows(context, data_of<const float>(values), end - first, vocabulary,
             data_of<float>(op.dbias));
  }
}

}  // namespace gist::cuda
