#include <algorithm>

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

__global__ void scale_and_cap_kernel(const float* x, std::int64_t n, float scale, float soft_cap,
                                     float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    y[i] = capped(x[i], scale, soft_cap);
  }
}

struct LossSpec {
  float scale, soft_cap;
  float of_label, of_each;  // what the target gives to the label, and to each id besides
  float factor;
};

/// A block a row of logits (as the matrix product left them). Writes loss, and `best` where it is
/// wanted; with `gradient`, leaves factor * dloss/dx in the logits' place.
__global__ void loss_kernel(float* logits, std::int64_t vocabulary, LossSpec spec,
                            const std::int32_t* labels, IndexCheck check, bool gradient,
                            float* loss, std::int32_t* best) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const SharedArray<int> places = memory.take<int>(warp_size);
  const std::int64_t row = blockIdx.x;
  float* x = logits + row * vocabulary;
  if (!check.passes(static_cast<int>(row), labels[row])) return;
  Largest peak{-INFINITY, 0x7FFFFFFF};
  float total = 0;
  for (std::int64_t i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    const float z = capped(x[i], spec.scale, spec.soft_cap);
    x[i] = z;
    total += z;
    if (z > peak.value || peak.place == 0x7FFFFFFF) peak = {z, static_cast<int>(i)};
  }
  peak = largest_of_block(peak, parts, places);
  float sum = total * 0;  // 0, or NaN where a logit isn't finite
  for (std::int64_t i = threadIdx.x; i < vocabulary; i += blockDim.x)
    sum += expf(x[i] - peak.value);
  const float log_sum = peak.value + logf(reduce_block<Sum>(sum, parts));
  if (spec.of_each > 0) total = reduce_block<Sum>(total, parts);
  const float wanted = x[labels[row]];
  if (threadIdx.x == 0) {
    loss[row] = log_sum - spec.of_label * wanted - (spec.of_each > 0 ? spec.of_each * total : 0);
    if (best != nullptr) best[row] = peak.place == 0x7FFFFFFF ? 0 : peak.place;
  }
  if (!gradient) return;
  __syncthreads();  // all have read `wanted`
  for (std::int64_t i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    const float z = x[i];
    float d = expf(z - log_sum) - spec.of_each - (i == labels[row] ? spec.of_label : 0);
    d *= spec.factor * spec.scale;
    if (spec.soft_cap > 0) d *= 1 - z / spec.soft_cap * (z / spec.soft_cap);
    x[i] = d;
  }
}

/// logits: [rows, vocabulary]
void lose(Device& device, const Tensor& logits, const LossSpec& spec, const Tensor& labels,
          bool gradient, const Tensor& loss, const Tensor& best) {
  const std::int64_t vocabulary = logits.shape[1];
  const Grid grid{dim3(static_cast<unsigned>(logits.shape[0])), dim3(elementwise_threads),
                  shared_bytes<float>(warp_size) + shared_bytes<int>(warp_size)};
  launch(device, grid, loss_kernel, data_of<float>(logits), vocabulary, spec,
         data_of<const std::int32_t>(labels),
         IndexCheck(device,
                    gradient ? "linear_cross_entropy_gradient: expected labels"
                             : "linear_cross_entropy: expected labels",
                    vocabulary),
         gradient, data_of<float>(loss), data_of<std::int32_t>(best));
}

}  // namespace

void compute(const ops::ScaleAndCap& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.x.shape.elements();
  launch(context.device, elementwise_grid(context.device, n), scale_and_cap_kernel,
         data_of<const float>(op.x), n, op.scale, op.soft_cap, data_of<float>(op.y));
}

void compute(const ops::LinearCrossEntropy& op, Context& context) {
  if (!context.begin(op.name, op.loss)) return;
  const Tensor& head = weight_of(op.head);
  const std::int64_t m = op.hidden.shape[0], vocabulary = head.shape[0];
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  ScratchPieces pieces;
  const auto logits = pieces.add<float>(chunk * vocabulary);
  const FactorMemory head_memory(context, head, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  const Tensor weight = head_memory.make(context.device, head, memory);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    const Tensor values{logits.in(memory), Dtype::f32, {end - first, vocabulary}};
    gemm(context, op.hidden.rows(first, end), weight, op.bias, values);
    lose(context.device, values, {op.scale, op.soft_cap, 1, 0, 1}, op.labels.rows(first, end),
         false, op.loss.rows(first, end), op.best.rows(first, end));
  }
}

void compute(const ops::LinearCrossEntropyGradient& op, Context& context) {
  if (!context.begin(op.name, op.loss)) return;
  const std::int64_t m = op.hidden.shape[0], vocabulary = op.head.shape[0];
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  ScratchPieces pieces;
  const auto logits = pieces.add<float>(chunk * vocabulary);
  // Each is a factor of two products.
  const FactorMemory head_memory(context, op.head, pieces),
      hidden_memory(context, op.hidden, pieces),
      dlogits_memory(context, {nullptr, Dtype::f32, {chunk, vocabulary}}, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  Device& device = context.device;
  const Tensor weight = head_memory.make(device, op.head, memory);
  const Tensor states = hidden_memory.make(device, op.hidden, memory);
  const LossSpec losses{op.spec.scale, op.spec.soft_cap, 1 - op.spec.label_smoothing,
                        op.spec.label_smoothing / static_cast<float>(vocabulary), op.spec.factor};
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    const Tensor values{logits.in(memory), Dtype::f32, {end - first, vocabulary}};
    gemm(context, states.rows(first, end), weight, op.bias, values);
    lose(device, values, losses, op.labels.rows(first, end), true, op.loss.rows(first, end),
         Tensor{});
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
