#include "kernels/checks.h"

#include "kernels/ops/check_tensors.h"

namespace gist::checks {

void copy(const Tensor& source, const Tensor& target) {
  if (!ops::present(source) || !ops::present(target) || source.dtype != target.dtype ||
      source.shape.elements() != target.shape.elements()) {
    ops::refuse("copy", "source and target of one dtype and size",
                {{"source", source}, {"target", target}});
  }
}

void pack(const HostTensor& weight) {
  if (weight.shape.rank != 2 || weight.shape.elements() == 0 || !ops::is_float(weight.dtype)) {
    fail(ErrorKind::internal, "pack: expected a weight [n, k] of a float dtype; found {} {}",
         name_of(weight.dtype), to_string(weight.shape));
  }
}

void plain(const Tensor& weight, Dtype products) {
  const bool has_dtype = weight.dtype == Dtype::f32 || weight.dtype == products;
  if (weight.shape.rank != 2 || weight.shape.elements() == 0 || weight.data == nullptr ||
      !has_dtype) {
    ops::refuse("plain", fmt::format("a weight [n, k], f32 or {}", name_of(products)),
                {{"weight", weight}});
  }
}

}  // namespace gist::checks
