#include "kernels/ops/zero.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Zero& op) {
  if (!present(op.x)) refuse(op.name, "a tensor", {{"x", op.x}});
}

OpCost cost(const Zero& op) {
  return one_call(0, {}, {&op.x});
}

}  // namespace gist::ops
