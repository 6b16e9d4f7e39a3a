#include "kernels/ops/expert_gemm.h"

#include <algorithm>

#include "kernels/ops/check_tensors.h"

namespace gist::ops {
namespace {

/// Whether there are weights [n, k], one for each expert, all of one shape.
bool alike(std::span<const Tensor> weights, const Tensor& ends) {
  if (weights.empty() || weights[0].shape.rank != 2) return false;
  return is_i32(ends, {static_cast<std::int64_t>(weights.size())}) &&
         std::all_of(weights.begin(), weights.end(), [&](const Tensor& w) {
           return is_plain_weight(w, weights[0].shape) && w.dtype == weights[0].dtype;
         });
}

bool alike(std::span<const Matrix* const> weights, const Tensor& ends) {
  if (weights.empty()) return false;
  return is_i32(ends, {static_cast<std::int64_t>(weights.size())}) &&
         std::all_of(weights.begin(), weights.end(), [&](const Matrix* w) {
           return w->n() == weights[0]->n() && w->k() == weights[0]->k();
         });
}

[[noreturn]] void refuse_weights(const char* op, std::size_t weights, const Tensor& ends) {
  refuse(op,
         fmt::format("ends i32 [{}], and as many weights [n, k] of one shape and dtype", weights),
         {{"ends", ends}});
}

/// How many experts' weights so many rows need, at most.
std::int64_t weights_read(std::int64_t rows, const Tensor& ends) {
  return std::min(rows, ends.shape[0]);
}

}  // namespace

void check(const ExpertGemm& op) {
  if (!alike(op.w, op.ends)) refuse_weights(op.name, op.w.size(), op.ends);
  const GemmSizes s = op.sizes();
  if (op.x.shape.rank != 2 || !is_f32(op.x, {s.m, s.k}) || !is_f32(op.y, {s.m, s.n})) {
    refuse(op.name,
           fmt::format("x f32 [m, {1}] and y f32 [m, {0}] for weights [{0}, {1}]", s.n, s.k),
           {{"x", op.x}, {"y", op.y}});
  }
}

void check(const ExpertGemmInputGradient& op) {
  if (!alike(op.w, op.ends)) refuse_weights(op.name, op.w.size(), op.ends);
  const GemmSizes s = op.sizes();
  if (op.dy.shape.rank != 2 || !is_f32(op.dy, {s.m, s.n}) || !is_f32(op.dx, {s.m, s.k})) {
    refuse(op.name,
           fmt::format("dy f32 [m, {0}] and dx f32 [m, {1}] for weights [{0}, {1}]", s.n, s.k),
           {{"dy", op.dy}, {"dx", op.dx}});
  }
}

void check(const ExpertGemmWeightGradient& op) {
  if (!alike(op.dw, op.ends) || op.dw[0].dtype != Dtype::f32)
    refuse_weights(op.name, op.dw.size(), op.ends);
  const GemmSizes s = op.sizes();
  if (op.dy.shape.rank != 2 || !is_f32(op.dy, {s.m, s.n}) || !is_f32(op.x, {s.m, s.k})) {
    refuse(op.name,
           fmt::format("dy f32 [m, {0}] and x f32 [m, {1}] for weights [{0}, {1}]", s.n, s.k),
           {{"dy", op.dy}, {"x", op.x}});
  }
}

OpCost cost(const ExpertGemm& op) {
  const auto weight = static_cast<std::int64_t>(op.w[0]->bytes());
  return one_call(product_flops(op.sizes(), {}), {&op.x, &op.ends}, {&op.y},
                  weights_read(op.sizes().m, op.ends) * weight);
}

OpCost cost(const ExpertGemmInputGradient& op) {
  const auto weight = static_cast<std::int64_t>(op.w[0].bytes());
  const auto before = op.accumulate ? static_cast<std::int64_t>(op.dx.bytes()) : 0;
  return one_call(product_flops(op.sizes(), {}), {&op.dy, &op.ends}, {&op.dx},
                  weights_read(op.sizes().m, op.ends) * weight + before);
}

OpCost cost(const ExpertGemmWeightGradient& op) {
  const std::int64_t weights =
      weights_read(op.sizes().m, op.ends) * static_cast<std::int64_t>(op.dw[0].bytes());
  OpCost cost = one_call(product_flops(op.sizes(), {}), {&op.dy, &op.x, &op.ends}, {}, weights);
  cost.bytes_written += weights;
  return cost;
}

}  // namespace gist::ops
