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

void rotation(Device& device, const Tensor& positions, const Tensor& inv_freq, float scale,
              const Tensor& rotation) {
  const std::int64_t m = positions.shape[0], pairs = inv_freq.shape[0];
  launch(device, elementwise_grid(device, m * pairs), rotation_kernel,
         data_of<const std::int32_t>(positions), data_of<const float>(inv_freq), m, pairs, scale,
         data_of<float>(rotation));
}

void rotate(Device& device, const Tensor& x, const Tensor& rotation, RopePairs pairs,
            RotateDirection direction, const Tensor& y) {
  const RotateSizes sizes{x.shape[0], x.shape[1], x.shape[2], rotation.shape[2]};
  launch(device, elementwise_grid(device, sizes.m * sizes.heads * (sizes.dim - sizes.pairs)),
         rotate_kernel, data_of<const float>(x), data_of<const float>(rotation), sizes,
         pairs == RopePairs::half, direction == RotateDirection::forward ? 1.0F : -1.0F,
         data_of<float>(y));
}

}  // namespace gist::cuda
