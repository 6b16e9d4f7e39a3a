#include <algorithm>
#include <numeric>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {
namespace {

constexpr std::int64_t floats_mixed_a_thread = 16384;

}  // namespace

void compute(const ops::MixRows& op, Context& context) {
  require_within(op.name, "places", op.places, op.x.shape[0]);
  const std::int64_t n = op.places.shape[0], k = op.places.shape[1], d = op.y.shape[1];
  const auto* x = static_cast<const float*>(op.x.data);
  const auto* place = static_cast<const std::int32_t*>(op.places.data);
  const auto* weight = static_cast<const float*>(op.weights.data);
  auto* y = static_cast<float*>(op.y.data);
  parallel_ranges(context.threads, n, floats_mixed_a_thread / (k * d + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    std::fill(y + begin * d, y + end * d, 0.0F);
                    for (std::int64_t i = begin * k; i < end * k; ++i) {
                      const float* from = x + place[i] * d;
                      float* to = y + i / k * d;
                      const float factor = weight == nullptr ? 1 : weight[i];
                      for (std::int64_t c = 0; c < d; ++c) to[c] += factor * from[c];
                    }
                  });
}

void compute(const ops::MixRowsBackward& op, Context& context) {
  require_within(op.name, "places", op.places, op.x.shape[0]);
  const std::int64_t k = op.places.shape[1], d = op.x.shape[1];
  const auto* x = static_cast<const float*>(op.x.data);
  const auto* place = static_cast<const std::int32_t*>(op.places.data);
  const auto* weight = static_cast<const float*>(op.weights.data);
  const auto* dy = static_cast<const float*>(op.dy.data);
  auto* dx = static_cast<float*>(op.dx.data);
  auto* dweight = static_cast<float*>(op.dweights.data);
  parallel_ranges(context.threads, op.x.shape[0], floats_mixed_a_thread / (d + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const float* from = dy + i / k * d;
                      const float* own = x + place[i] * d;
                      dweight[i] = std::inner_product(own, own + d, from, 0.0F);
                      std::transform(from, from + d, dx + place[i] * d,
                                     [&](float each) { return weight[i] * each; });
                    }
                  });
}

}  // namespace gist::cpu
