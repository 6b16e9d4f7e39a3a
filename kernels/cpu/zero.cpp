#include <cstring>

#include "kernels/cpu/operations.h"

namespace gist::cpu {

void compute(const ops::Zero& op, Context&) {
  if (op.x.bytes() > 0) std::memset(op.x.data, 0, op.x.bytes());
}

}  // namespace gist::cpu
