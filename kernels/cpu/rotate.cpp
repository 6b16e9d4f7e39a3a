#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rotate.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Rotates the pairs (x[i], x[pairs + i]) of one head; sign -1 turns them back. y may be x.
void rotate_halves(const float* x, const float* cosine, const float* sine, float sign,
                   std::int64_t pairs, float* y) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto each = [&](auto d, std::int64_t i) {
    const auto a = hn::LoadU(d, x + i);
    const auto b = hn::LoadU(d, x + pairs + i);
    const auto c = hn::LoadU(d, cosine + i);
    const auto s = hn::Mul(hn::Set(d, sign), hn::LoadU(d, sine + i));
    hn::StoreU(hn::NegMulAdd(b, s, hn::Mul(a, c)), d, y + i);
    hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), d, y + pairs + i);
  };
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes) each(tag, i);
  for (; i < pairs; ++i) each(one_lane, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(rotate_halves);

namespace {

/// The same for the pairs (x[2 i], x[2 i + 1]).
void rotate_neighbours(const float* x, const float* cosine, const float* sine, float sign,
                       std::int64_t pairs, float* y) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    y[2 * i] = a * cosine[i] - b * (sign * sine[i]);
    y[2 * i + 1] = b * cosine[i] + a * (sign * sine[i]);
  }
}

}  // namespace

void compute(const ops::Rotation& op, Context& context) {
  const std::int64_t pairs = op.inv_freq.shape[0];
  const auto* position = static_cast<const std::int32_t*>(op.positions.data);
  const auto* frequency = static_cast<const float*>(op.inv_freq.data);
  auto* out = static_cast<float*>(op.rotation.data);
  parallel_ranges(context.threads, op.positions.shape[0], 512 / (pairs + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      float* cosine = out + 2 * pairs * i;
                      float* sine = cosine + pairs;
                      for (std::int64_t p = 0; p < pairs; ++p) {
                        const float angle = static_cast<float>(position[i]) * frequency[p];
                        cosine[p] = std::cos(angle) * op.scale;
                        sine[p] = std::sin(angle) * op.scale;
                      }
                    }
                  });
}

void compute(const ops::Rotate& op, Context& context) {
  const std::int64_t m = op.x.shape[0];
  const std::int64_t heads = op.x.shape[1];
  const std::int64_t dim = op.x.shape[2];
  const std::int64_t pairs = op.rotation.shape[2];
  const float sign = op.direction == RotateDirection::forward ? 1.0F : -1.0F;
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* table = static_cast<const float*>(op.rotation.data);
  auto* out = static_cast<float*>(op.y.data);
  const auto apply =
      op.pairs == RopePairs::half ? HWY_DYNAMIC_DISPATCH(rotate_halves) : rotate_neighbours;
  parallel_ranges(context.threads, m, 16384 / (heads * dim + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const float* cosine = table + 2 * pairs * i;
                      for (std::int64_t h = 0; h < heads; ++h) {
                        const float* head = in + (i * heads + h) * dim;
                        float* rotated = out + (i * heads + h) * dim;
                        apply(head, cosine, cosine + pairs, sign, pairs, rotated);
                        if (rotated != head && dim > 2 * pairs) {
                          std::memcpy(rotated + 2 * pairs, head + 2 * pairs,
                                      static_cast<std::size_t>(dim - 2 * pairs) * sizeof(float));
                        }
                      }
                    }
                  });
}

}  // namespace gist::cpu
#endif
