#include <cmath>
#include <cstring>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {
namespace {

/// Rotates the pairs (a[i * stride], b[i * stride]) of one head.
void rotate_pairs(const float* a, const float* b, const float* cosine, const float* sine,
                  std::int64_t pairs, std::int64_t stride, float* rotated_a, float* rotated_b) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const float x = a[i * stride];
    const float y = b[i * stride];
    rotated_a[i * stride] = x * cosine[i] - y * sine[i];
    rotated_b[i * stride] = y * cosine[i] + x * sine[i];
  }
}

}  // namespace

void rotate(const Tensor& x, const Tensor& positions, const Rope& rope, const Tensor& y,
            int threads, Scratch& scratch) {
  const std::int64_t m = x.shape[0];
  const std::int64_t heads = x.shape[1];
  const std::int64_t dim = x.shape[2];
  const std::int64_t pairs = rope.rotary_dims / 2;
  const auto* position = static_cast<const std::int32_t*>(positions.data);
  const auto* inv_freq = static_cast<const float*>(rope.inv_freq.data);
  const auto* in = static_cast<const float*>(x.data);
  auto* out = static_cast<float*>(y.data);
  auto* table = scratch.reserve_array<float>(static_cast<std::size_t>(2 * pairs * m));
  parallel_ranges(
      threads, m, 4096 / (heads * dim + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          float* cosine = table + 2 * pairs * i;  // [pairs]
          float* sine = cosine + pairs;           // [pairs]
          for (std::int64_t p = 0; p < pairs; ++p) {
            const float angle = static_cast<float>(position[i]) * inv_freq[p];
            cosine[p] = std::cos(angle) * rope.scale;
            sine[p] = std::sin(angle) * rope.scale;
          }
          for (std::int64_t h = 0; h < heads; ++h) {
            const float* head = in + (i * heads + h) * dim;
            float* rotated = out + (i * heads + h) * dim;
            if (rope.interleaved) {
              rotate_pairs(head, head + 1, cosine, sine, pairs, 2, rotated, rotated + 1);
            } else {
              rotate_pairs(head, head + pairs, cosine, sine, pairs, 1, rotated, rotated + pairs);
            }
            if (rotated != head && dim > 2 * pairs) {
              std::memcpy(rotated + 2 * pairs, head + 2 * pairs,
                          static_cast<std::size_t>(dim - 2 * pairs) * sizeof(float));
            }
          }
        }
      });
}

}  // namespace gist::cpu
