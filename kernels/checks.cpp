#include "kernels/checks.h"

#include <cmath>

#include "kernels/check_tensors.h"

namespace gist::checks {

void copy(const Tensor& source, const Tensor& target) {
  if (!present(source) || !present(target) || source.dtype != target.dtype ||
      source.shape.elements() != target.shape.elements()) {
    refuse("copy", "source and target of one dtype and size",
           {{"source", source}, {"target", target}});
  }
}

void pack(const HostTensor& weight) {
  if (weight.shape.rank != 2 || weight.shape.elements() == 0 || !is_float(weight.dtype)) {
    fail(ErrorKind::internal, "pack: expected a weight [n, k] of a float dtype; found {} {}",
         name_of(weight.dtype), to_string(weight.shape));
  }
}

GemmSizes gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) {
  const GemmSizes s{x.shape[0], w.n(), w.k()};
  if (x.shape.rank != 2 || !is_f32(x, {s.m, s.k}) || !is_f32(y, {s.m, s.n}) ||
      (bias.data != nullptr && !is_f32(bias, {s.n}))) {
    refuse("gemm",
           fmt::format("x f32 [m, {1}], y f32 [m, {0}] and bias f32 [{0}] for a weight "
                       "[{0}, {1}]",
                       s.n, s.k),
           {{"x", x}, {"y", y}, {"bias", bias}});
  }
  return s;
}

void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) {
  if (!present(table) || table.shape.rank != 2 || !is_float(table.dtype) || ids.shape.rank != 1 ||
      !is_i32(ids, {ids.shape[0]}) || !is_f32(y, {ids.shape[0], table.shape[1]})) {
    refuse("embedding", "table [v, d] of a float dtype, ids i32 [m] and y f32 [m, d]",
           {{"table", table}, {"ids", ids}, {"y", y}});
  }
}

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) {
  if (x.shape.rank < 1 || !is_f32(x, x.shape) || !is_f32(y, x.shape) ||
      !is_f32(weight, {x.shape[x.shape.rank - 1]})) {
    refuse("rms_norm", "x and y f32 [.., d] and weight f32 [d]",
           {{"x", x}, {"weight", weight}, {"y", y}});
  }
  require_finite("rms_norm", "eps", eps, false);
}

void add(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (!is_f32(a, a.shape) || !is_f32(b, a.shape) || !is_f32(y, a.shape)) {
    refuse("add", "a, b and y f32 of one shape", {{"a", a}, {"b", b}, {"y", y}});
  }
}

void activation(const Tensor& x, const Tensor& y) {
  if (!is_f32(x, x.shape) || !is_f32(y, x.shape)) {
    refuse("activation", "x and y f32 of one shape", {{"x", x}, {"y", y}});
  }
}

void gated_activation(const Tensor& gate, const Tensor& up, const Tensor& y) {
  if (!is_f32(gate, gate.shape) || !is_f32(up, gate.shape) || !is_f32(y, gate.shape)) {
    refuse("gated_activation", "gate, up and y f32 of one shape",
           {{"gate", gate}, {"up", up}, {"y", y}});
  }
}

void rotation(const Tensor& positions, const Tensor& inv_freq, float scale,
              const Tensor& rotation) {
  if (positions.shape.rank != 1 || inv_freq.shape.rank != 1 ||
      !is_i32(positions, positions.shape) || !is_f32(inv_freq, inv_freq.shape) ||
      !is_f32(rotation, {positions.shape[0], 2, inv_freq.shape[0]})) {
    refuse("rotation", "positions i32 [m], inv_freq f32 [pairs] and rotation f32 [m, 2, pairs]",
           {{"positions", positions}, {"inv_freq", inv_freq}, {"rotation", rotation}});
  }
  if (!std::isfinite(scale)) {
    fail(ErrorKind::internal, "rotation: expected a finite scale; found {}", scale);
  }
}

void rotate(const Tensor& x, const Tensor& rotation, const Tensor& y) {
  if (x.shape.rank != 3 || !is_f32(x, x.shape) || !is_f32(y, x.shape) || rotation.shape.rank != 3 ||
      !is_f32(rotation, {x.shape[0], 2, rotation.shape[2]}) || 2 * rotation.shape[2] > x.shape[2]) {
    refuse("rotate", "x and y f32 [m, heads, dim] and rotation f32 [m, 2, pairs], 2 pairs <= dim",
           {{"x", x}, {"rotation", rotation}, {"y", y}});
  }
}

void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) {
  if (!present(x) || !present(y) || !same_row(x, y) || !is_i32(rows, {y.shape[0]})) {
    refuse("gather_rows", "rows i32 [m], y [m, ..] and x [r, ..] with rows of one dtype and shape",
           {{"x", x}, {"rows", rows}, {"y", y}});
  }
}

void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) {
  if (!present(x) || !present(y) || !same_row(x, y) || !is_i32(rows, {x.shape[0]})) {
    refuse("scatter_rows", "rows i32 [m], x [m, ..] and y [r, ..] with rows of one dtype and shape",
           {{"x", x}, {"rows", rows}, {"y", y}});
  }
}

GemmSizes linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                               float scale, float soft_cap, const Tensor& labels,
                               const Tensor& loss, const Tensor& best) {
  const GemmSizes s{hidden.shape[0], head.n(), head.k()};
  if (hidden.shape.rank != 2 || !is_f32(hidden, {s.m, s.k}) ||
      (bias.data != nullptr && !is_f32(bias, {s.n})) || !is_i32(labels, {s.m}) ||
      !is_f32(loss, {s.m}) || !is_i32(best, {s.m})) {
    refuse(
        "linear_cross_entropy",
        fmt::format("hidden f32 [m, {1}], bias f32 [{0}], labels i32 [m], loss f32 [m] and best "
                    "i32 [m] for a head [{0}, {1}]",
                    s.n, s.k),
        {{"hidden", hidden}, {"bias", bias}, {"labels", labels}, {"loss", loss}, {"best", best}});
  }
  if (!std::isfinite(scale)) {
    fail(ErrorKind::internal, "linear_cross_entropy: expected a finite scale; found {}", scale);
  }
  require_finite("linear_cross_entropy", "soft_cap", soft_cap, false);
  return s;
}

void scale_and_cap(const Tensor& x, float scale, float soft_cap) {
  if (!is_f32(x, x.shape)) refuse("scale_and_cap", "x f32", {{"x", x}});
  if (!std::isfinite(scale)) {
    fail(ErrorKind::internal, "scale_and_cap: expected a finite scale; found {}", scale);
  }
  require_finite("scale_and_cap", "soft_cap", soft_cap, false);
}

void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
            const Tensor& ids) {
  const std::int64_t m = logits.shape[0];
  const std::int64_t vocabulary = logits.shape[1];
  if (logits.shape.rank != 2 || !is_f32(logits, logits.shape) || !is_f32(uniform, {m}) ||
      !is_i32(ids, {m})) {
    refuse("sample", "logits f32 [m, vocabulary], uniform f32 [m] and ids i32 [m]",
           {{"logits", logits}, {"uniform", uniform}, {"ids", ids}});
  }
  const bool bans = options.banned >= 0 && options.banned < vocabulary;
  if (vocabulary - (bans ? 1 : 0) < 1) {
    fail(ErrorKind::internal, "sample: no id is left to choose from {} when {} is banned",
         vocabulary, options.banned);
  }
  require_finite("sample", "temperature", options.temperature, false);
  require_finite("sample", "top_p", options.top_p, true);
  if (options.top_k < 0) {
    fail(ErrorKind::internal, "sample: expected top_k to be 0 or more; found {}", options.top_k);
  }
}

void plain(const Tensor& weight) {
  if (weight.shape.rank != 2 || weight.shape.elements() == 0 || !is_f32(weight, weight.shape)) {
    refuse("plain", "a weight f32 [n, k]", {{"weight", weight}});
  }
}

void zero(const Tensor& x) {
  if (!present(x)) refuse("zero", "a tensor", {{"x", x}});
}

void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y) {
  if (!is_f32(x, x.shape) || !is_f32(y, x.shape)) {
    refuse("dropout", "x and y f32 of one shape", {{"x", x}, {"y", y}});
  }
  require_probability("dropout", dropout);
}

GemmSizes gemm_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& dx) {
  const GemmSizes s{dy.shape[0], w.shape[0], w.shape[1]};
  if (w.shape.rank != 2 || !is_f32(w, {s.n, s.k}) || !is_f32(dy, {s.m, s.n}) ||
      !is_f32(dx, {s.m, s.k})) {
    refuse("gemm_input_gradient", "dy f32 [m, n], w f32 [n, k] and dx f32 [m, k]",
           {{"dy", dy}, {"w", w}, {"dx", dx}});
  }
  return s;
}

GemmSizes gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                               const Tensor& dbias) {
  const GemmSizes s{dy.shape[0], dy.shape[1], x.shape[1]};
  if (dy.shape.rank != 2 || x.shape.rank != 2 || !is_f32(dy, {s.m, s.n}) ||
      !is_f32(x, {s.m, s.k}) || !is_f32(dw, {s.n, s.k}) ||
      (dbias.data != nullptr && !is_f32(dbias, {s.n}))) {
    refuse("gemm_weight_gradient", "dy f32 [m, n], x f32 [m, k], dw f32 [n, k] and dbias f32 [n]",
           {{"dy", dy}, {"x", x}, {"dw", dw}, {"dbias", dbias}});
  }
  return s;
}

void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable) {
  if (ids.shape.rank != 1 || dtable.shape.rank != 2 || !is_i32(ids, ids.shape) ||
      !is_f32(dtable, dtable.shape) || !is_f32(dy, {ids.shape[0], dtable.shape[1]})) {
    refuse("embedding_backward", "ids i32 [m], dy f32 [m, d] and dtable f32 [v, d]",
           {{"ids", ids}, {"dy", dy}, {"dtable", dtable}});
  }
}

void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight) {
  if (x.shape.rank < 1 || !is_f32(x, x.shape) || !is_f32(dy, x.shape) || !is_f32(dx, x.shape) ||
      !is_f32(weight, {x.shape[x.shape.rank - 1]}) || !is_f32(dweight, weight.shape)) {
    refuse("rms_norm_backward", "x, dy and dx f32 [.., d], weight and dweight f32 [d]",
           {{"x", x}, {"weight", weight}, {"dy", dy}, {"dx", dx}, {"dweight", dweight}});
  }
  require_finite("rms_norm_backward", "eps", eps, false);
}

void activation_backward(const Tensor& x, const Tensor& dy, const Tensor& dx) {
  if (!is_f32(x, x.shape) || !is_f32(dy, x.shape) || !is_f32(dx, x.shape)) {
    refuse("activation_backward", "x, dy and dx f32 of one shape",
           {{"x", x}, {"dy", dy}, {"dx", dx}});
  }
}

void gated_activation_backward(const Tensor& gate, const Tensor& up, const Tensor& dy,
                               const Tensor& dgate, const Tensor& dup) {
  for (const Tensor* each : {&gate, &up, &dy, &dgate, &dup}) {
    if (is_f32(*each, gate.shape)) continue;
    refuse("gated_activation_backward", "gate, up, dy, dgate and dup f32 of one shape",
           {{"gate", gate}, {"up", up}, {"dy", dy}, {"dgate", dgate}, {"dup", dup}});
  }
}

GemmSizes linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head,
                                        const Tensor& bias, const CrossEntropySpec& spec,
                                        const Tensor& labels, const Tensor& loss,
                                        const Tensor& dhidden, const Tensor& dhead,
                                        const Tensor& dbias) {
  const GemmSizes s{hidden.shape[0], head.shape[0], head.shape[1]};
  const bool with_bias = bias.data != nullptr;
  if (hidden.shape.rank != 2 || head.shape.rank != 2 || !is_f32(hidden, {s.m, s.k}) ||
      !is_f32(head, {s.n, s.k}) || !is_i32(labels, {s.m}) || !is_f32(loss, {s.m}) ||
      !is_f32(dhidden, hidden.shape) || !is_f32(dhead, head.shape) ||
      (with_bias && (!is_f32(bias, {s.n}) || !is_f32(dbias, {s.n})))) {
    refuse("linear_cross_entropy_gradient",
           "hidden and dhidden f32 [m, d], head and dhead f32 [v, d], bias and dbias f32 [v], "
           "labels i32 [m] and loss f32 [m]",
           {{"hidden", hidden},
            {"head", head},
            {"bias", bias},
            {"labels", labels},
            {"loss", loss},
            {"dhidden", dhidden},
            {"dhead", dhead},
            {"dbias", dbias}});
  }
  if (!std::isfinite(spec.scale) || !std::isfinite(spec.factor)) {
    fail(ErrorKind::internal,
         "linear_cross_entropy_gradient: expected a finite scale and factor; found {} and {}",
         spec.scale, spec.factor);
  }
  require_finite("linear_cross_entropy_gradient", "soft_cap", spec.soft_cap, false);
  if (!(spec.label_smoothing >= 0 && spec.label_smoothing < 1)) {
    fail(ErrorKind::internal,
         "linear_cross_entropy_gradient: expected a label_smoothing in [0, 1); found {}",
         spec.label_smoothing);
  }
  return s;
}

void norm(const Tensor& x, const Tensor& y) {
  if (!is_f32(x, x.shape) || !is_f32(y, {1})) {
    refuse("norm", "x f32 and y f32 [1]", {{"x", x}, {"y", y}});
  }
}

void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
           const Tensor& weight, const Tensor& first_moment, const Tensor& second_moment) {
  if (!is_f32(norm, {1}) || !is_f32(gradient, gradient.shape) || !is_f32(weight, gradient.shape) ||
      !is_f32(first_moment, gradient.shape) || !is_f32(second_moment, gradient.shape)) {
    refuse("adamw",
           "norm f32 [1] and gradient, weight, first_moment, second_moment f32 of one shape",
           {{"gradient", gradient},
            {"norm", norm},
            {"weight", weight},
            {"first_moment", first_moment},
            {"second_moment", second_moment}});
  }
  const bool betas =
      options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1;
  if (!betas || !std::isfinite(options.lr) || !(options.eps >= 0) || !(options.max_norm >= 0) ||
      !std::isfinite(options.weight_decay) || options.decayed < 0 || options.step < 1) {
    fail(ErrorKind::internal,
         "adamw: expected betas within [0, 1), a finite lr and weight_decay, eps, max_norm and "
         "decayed not below 0 and a step from 1 on; found betas {} and {}, lr {}, weight_decay {}, "
         "eps {}, max_norm {}, decayed {}, step {}",
         options.beta1, options.beta2, options.lr, options.weight_decay, options.eps,
         options.max_norm, options.decayed, options.step);
  }
}

}  // namespace gist::checks
