#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

__global__ void rotation_kernel(const std::int32_t* positions, const float* inv_freq,
                                std::int64_t m, std::int64_t pairs, float scale, float* rotation) {
  for (std::int64_t i = first_element(); i < m * pairs; i += element_step()) {
    const std::int64_t row = i / pairs, pair = i % pairs;
    const float angle = static_cast<float>(positions[row]) * inv_freq[pair];
    float* cosine = rotation + 2 * pairs * row + pair;
    cosine[0] = cosf(angle) * scale;
    cosine[pairs] = sinf(angle) * scale;
  }
}

struct RotateSizes {
  std::int64_t m, heads, dim, pairs;
};

/// A thread a pair, or a dimension that no pair has. y may be x.
__global__ void rotate_kernel(const float* x, const float* rotation, RotateSizes s, bool halves,
                              float sign, float* y) {
  const std::int64_t units = s.dim - s.pairs;  // of a head
  for (std::int64_t i = first_element(); i < s.m * s.heads * units; i += element_step()) {
    const std::int64_t head = i / units, unit = i % units;
    const float* from = x + head * s.dim;
    float* to = y + head * s.dim;
    if (unit >= s.pairs) {
      to[s.pairs + unit] = from[s.pairs + unit];
      continue;
    }
    const std::int64_t first = halves ? unit : 2 * unit;
    const std::int64_t second = halves ? unit + s.pairs : 2 * unit + 1;
    const float* cosine = rotation + 2 * s.pairs * (head / s.heads) + unit;
    const float a = from[first], b = from[second];
    const float c = cosine[0], sine = sign * cosine[s.pairs];
    to[first] = a * c - b * sine;
    to[second] = b * c + a * sine;
  }
}

}  // namespace

void compute(const ops::Rotation& op, Context& context) {
  if (!context.begin(op.name, op.rotation)) return;
  const std::int64_t m = op.positions.shape[0], pairs = op.inv_freq.shape[0];
  launch(context.device, elementwise_grid(context.device, m * pairs), rotation_kernel,
         data_of<const std::int32_t>(op.positions), data_of<const float>(op.inv_freq), m, pairs,
         op.scale, data_of<float>(op.rotation));
}

void compute(const ops::Rotate& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const RotateSizes sizes{op.x.shape[0], op.x.shape[1], op.x.shape[2], op.rotation.shape[2]};
  launch(context.device,
         elementwise_grid(context.device, sizes.m * sizes.heads * (sizes.dim - sizes.pairs)),
         rotate_kernel, data_of<const float>(op.x), data_of<const float>(op.rotation), sizes,
         op.pairs == RopePairs::half, op.direction == RotateDirection::forward ? 1.0F : -1.0F,
         data_of<float>(op.y));
}

}  // namespace gist::cuda
