// What checks of operations are made of.
#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>

#include "kernels/error.h"
#include "kernels/ops/dropout.h"
#include "kernels/tensor.h"

namespace gist::ops {

struct Named {
  std::string_view name;
  const Tensor& tensor;
};

[[noreturn]] inline void refuse(std::string_view op, std::string_view expected,
                                std::initializer_list<Named> found) {
  std::string list;
  for (const Named& each : found) {
    if (!list.empty()) list += ", ";
    list += fmt::format("{} {} {}", each.name, name_of(each.tensor.dtype),
                        to_string(each.tensor.shape));
    if (each.tensor.data == nullptr) list += " without data";
  }
  fail(ErrorKind::internal, "{}: expected {}; found {}", op, expected, list);
}

inline bool present(const Tensor& t) {
  return t.data != nullptr || t.shape.elements() == 0;
}

inline bool is(const Tensor& t, Dtype dtype, const Shape& shape) {
  return present(t) && t.dtype == dtype && t.shape == shape;
}

inline bool is_f32(const Tensor& t, const Shape& shape) {
  return is(t, Dtype::f32, shape);
}
inline bool is_i32(const Tensor& t, const Shape& shape) {
  return is(t, Dtype::i32, shape);
}
/// One that may be left out.
inline bool is_f32_or_none(const Tensor& t, const Shape& shape) {
  return t.data == nullptr || is_f32(t, shape);
}

/// A weight that products read where it stands (Backend::plain).
inline bool is_plain_weight(const Tensor& t, const Shape& shape) {
  return is(t, Dtype::f32, shape) || is(t, Dtype::bf16, shape);
}

inline bool is_float(Dtype dtype) {
  return dtype != Dtype::i32;
}

/// Same dtype and same dimensions but the outermost.
inline bool same_row(const Tensor& a, const Tensor& b) {
  if (a.dtype != b.dtype || a.shape.rank != b.shape.rank || a.shape.rank < 1) return false;
  Shape other = b.shape;
  other.dims[0] = a.shape[0];
  return a.shape == other;
}

inline void require_finite(std::string_view op, std::string_view name, float value, bool positive) {
  if (!std::isfinite(value) || value < 0 || (positive && value == 0)) {
    fail(ErrorKind::internal, "{}: expected {} to be a finite number {} 0; found {}", op, name,
         positive ? "above" : "not below", value);
  }
}

inline void require_number(std::string_view op, std::string_view name, float value) {
  if (!std::isfinite(value)) {
    fail(ErrorKind::internal, "{}: expected {} to be a finite number; found {}", op, name, value);
  }
}

inline void require_probability(std::string_view op, const gist::Dropout& dropout) {
  if (!(dropout.probability >= 0 && dropout.probability < 1)) {
    fail(ErrorKind::internal, "{}: expected a dropout probability within [0, 1); found {}", op,
         dropout.probability);
  }
}

}  // namespace gist::ops
