#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {

void compute(const ops::Add& op, Context& context) {
  const auto* left = static_cast<const float*>(op.a.data);
  const auto* right = static_cast<const float*>(op.b.data);
  auto* sum = static_cast<float*>(op.y.data);
  parallel_ranges(context.threads, op.y.shape.elements(), 32768,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) sum[i] = left[i] + right[i];
                  });
}

}  // namespace gist::cpu
