#include "kernels/cuda/operations.h"

namespace gist::cuda {

void compute(const ops::Zero& op, Context& context) {
  if (context.begin(op.name, op.x)) context.device.zero(op.x.data, op.x.bytes());
}

}  // namespace gist::cuda
