#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"
#include "kernels/dropout_draw.h"

namespace gist::cuda {
namespace {

/// A thread draws for four neighbours at a time.
__global__ void dropout_kernel(const float* x, std::int64_t n, DropoutDraw draw, float* y) {
  for (std::int64_t four = first_element(); 4 * four < n; four += element_step()) {
    const auto words = draw.words(static_cast<std::uint64_t>(four));
    for (int i = 0; i < 4 && 4 * four + i < n; ++i) {
      y[4 * four + i] = x[4 * four + i] * draw.factor_of(words[static_cast<std::size_t>(i)]);
    }
  }
}

}  // namespace

void compute(const ops::Dropout& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.x.shape.elements();
  if (op.dropout.probability == 0) return context.device.copy(op.y.data, op.x.data, op.x.bytes());
  launch(context.device, elementwise_grid(context.device, (n + 3) / 4), dropout_kernel,
         data_of<const float>(op.x), n, dropout_draw(op.dropout), data_of<float>(op.y));
}

}  // namespace gist::cuda
