#include "kernels/ops/cross_entropy.h"

#include <cmath>

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const LinearCrossEntropy& op) {
  const GemmSizes s = op.sizes();
  if (op.hidden.shape.rank != 2 || !is_f32(op.hidden, {s.m, s.k}) ||
      (op.bias.data != nullptr && !is_f32(op.bias, {s.n})) || !is_i32(op.labels, {s.m}) ||
      !is_f32(op.loss, {s.m}) || !is_i32(op.best, {s.m})) {
    refuse(op.name,
           fmt::format("hidden f32 [m, {1}], bias f32 [{0}], labels i32 [m], loss f32 [m] and best "
                       "i32 [m] for a head [{0}, {1}]",
                       s.n, s.k),
           {{"hidden", op.hidden},
            {"bias", op.bias},
            {"labels", op.labels},
            {"loss", op.loss},
            {"best", op.best}});
  }
  require_number(op.name, "scale", op.scale);
  require_finite(op.name, "soft_cap", op.soft_cap, false);
}

void check(const LinearCrossEntropyGradient& op) {
  const GemmSizes s = op.sizes();
  const bool with_bias = op.bias.data != nullptr;
  if (op.hidden.shape.rank != 2 || op.head.shape.rank != 2 || !is_f32(op.hidden, {s.m, s.k}) ||
      !is_plain_weight(op.head, {s.n, s.k}) || !is_i32(op.labels, {s.m}) ||
      !is_f32(op.loss, {s.m}) || !is_f32(op.dhidden, op.hidden.shape) ||
      !is_f32_or_none(op.dhead, op.head.shape) ||
      (with_bias && (!is_f32(op.bias, {s.n}) || !is_f32_or_none(op.dbias, {s.n})))) {
    refuse(
        op.name,
        "hidden and dhidden f32 [m, d], head f32 [v, d], bias f32 [v], dhead and dbias likewise or "
        "none, labels i32 [m] and loss f32 [m]",
        {{"hidden", op.hidden},
         {"head", op.head},
         {"bias", op.bias},
         {"labels", op.labels},
         {"loss", op.loss},
         {"dhidden", op.dhidden},
         {"dhead", op.dhead},
         {"dbias", op.dbias}});
  }
  const CrossEntropySpec& spec = op.spec;
  if (!std::isfinite(spec.scale) || !std::isfinite(spec.factor)) {
    fail(ErrorKind::internal, "{}: expected a finite scale and factor; found {} and {}", op.name,
         spec.scale, spec.factor);
  }
  require_finite(op.name, "soft_cap", spec.soft_cap, false);
  if (!(spec.label_smoothing >= 0 && spec.label_smoothing < 1)) {
    fail(ErrorKind::internal, "{}: expected a label_smoothing in [0, 1); found {}", op.name,
         spec.label_smoothing);
  }
}

OpCost cost(const LinearCrossEntropy& op) {
  const GemmSizes s = op.sizes();
  const std::int64_t softmax = 3 * s.m * s.n;
  return one_call(product_flops(s, op.bias) + softmax, {&op.hidden, &op.bias, &op.labels},
                  {&op.loss, &op.best}, static_cast<std::int64_t>(op.head.bytes()));
}

OpCost cost(const LinearCrossEntropyGradient& op) {
  const GemmSizes s = op.sizes();
  const std::int64_t softmax = 5 * s.m * s.n;
  const std::int64_t products = op.dhead.data == nullptr ? 2 : 3;
  return one_call(products * product_flops(s, op.bias) + softmax,
                  {&op.hidden, &op.head, &op.bias, &op.labels, &op.dhead, &op.dbias},
                  {&op.loss, &op.dhidden, &op.dhead, &op.dbias});
}

}  // namespace gist::ops
