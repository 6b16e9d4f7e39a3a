#include "kernels/ops/gemm.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Gemm& op) {
  const GemmSizes s = op.sizes();
  if (op.x.shape.rank != 2 || !is_f32(op.x, {s.m, s.k}) || !is_f32(op.y, {s.m, s.n}) ||
      (op.bias.data != nullptr && !is_f32(op.bias, {s.n}))) {
    refuse(op.name,
           fmt::format("x f32 [m, {1}], y f32 [m, {0}] and bias f32 [{0}] for a weight "
                       "[{0}, {1}]",
                       s.n, s.k),
           {{"x", op.x}, {"y", op.y}, {"bias", op.bias}});
  }
}

void check(const GemmInputGradient& op) {
  const GemmSizes s = op.sizes();
  if (op.w.shape.rank != 2 || !is_plain_weight(op.w, {s.n, s.k}) || !is_f32(op.dy, {s.m, s.n}) ||
      !is_f32(op.dx, {s.m, s.k})) {
    refuse(op.name, "dy f32 [m, n], w f32 or bf16 [n, k] and dx f32 [m, k]",
           {{"dy", op.dy}, {"w", op.w}, {"dx", op.dx}});
  }
}

void check(const GemmWeightGradient& op) {
  const GemmSizes s = op.sizes();
  if (op.dy.shape.rank != 2 || op.x.shape.rank != 2 || !is_f32(op.dy, {s.m, s.n}) ||
      !is_f32(op.x, {s.m, s.k}) || !is_f32(op.dw, {s.n, s.k}) ||
      (op.dbias.data != nullptr && !is_f32(op.dbias, {s.n}))) {
    refuse(op.name, "dy f32 [m, n], x f32 [m, k], dw f32 [n, k] and dbias f32 [n]",
           {{"dy", op.dy}, {"x", op.x}, {"dw", op.dw}, {"dbias", op.dbias}});
  }
}

OpCost cost(const Gemm& op) {
  return one_call(product_flops(op.sizes(), op.bias), {&op.x, &op.bias}, {&op.y},
                  static_cast<std::int64_t>(op.w.bytes()));
}

OpCost cost(const GemmInputGradient& op) {
  const auto before = op.accumulate ? static_cast<std::int64_t>(op.dx.bytes()) : 0;
  return one_call(product_flops(op.sizes(), {}), {&op.dy, &op.w}, {&op.dx}, before);
}

OpCost cost(const GemmWeightGradient& op) {
  return one_call(product_flops(op.sizes(), op.dbias), {&op.dy, &op.x, &op.dw, &op.dbias},
                  {&op.dw, &op.dbias});
}

std::int64_t product_flops(const GemmSizes& s, const Tensor& bias) {
  return 2 * s.m * s.n * s.k + (bias.data != nullptr ? s.m * s.n : 0);
}

}  // namespace gist::ops
