// The relative position bias of pairs of queries and keys (relative_bias.h): adds it to scores, and
// sums their gradients. Included once a SIMD target, after attention_vectors-inl.h.
#if defined(GIST_KERNELS_CPU_ATTENTION_BIAS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_ATTENTION_BIAS_INL_H
#undef GIST_KERNELS_CPU_ATTENTION_BIAS_INL_H
#else
#define GIST_KERNELS_CPU_ATTENTION_BIAS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/cpu/attention_vectors-inl.h"
#include "kernels/cpu/relative_bias.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Biases at distances that needn't be neighbours, `step` places apart in a table, of which
/// distance 0 stands at `origin`.
HWY_INLINE V gather_bias(const float* table, const BiasDistances& distances, hn::Vec<I> distance,
                         hn::Vec<I> origin, std::int64_t step) {
  const auto within = hn::Clamp(distance, hn::Set(i32, -distances.max_distance),
                                hn::Set(i32, distances.max_distance));
  const auto steps = hn::Mul(within, hn::Set(i32, static_cast<std::int32_t>(step)));
  return hn::GatherIndex(f, table, hn::Add(steps, origin));
}

/// scores[k, lanes] += bias, for a vector of columns and n keys.
HWY_INLINE void add_bias_to_columns(const TileBias& b, std::int64_t column,
                                    const std::int32_t* key_position, std::int64_t n, float* scores,
                                    std::int64_t stride) {
  if (b.consecutive) {  // then so are the columns' places in [distances, group]
    const std::int64_t query = b.position[column];
    const float* table = b.rising_queries + b.member[column];
    for (std::int64_t k = 0; k < n; ++k) {
      const float* biases = table + b.distances.start(query - key_position[k]) * b.group;
      float* score = scores + k * stride;
      hn::Store(hn::Add(hn::Load(f, score), hn::LoadU(f, biases)), f, score);
    }
    return;
  }
  const auto query = hn::Load(i32, b.position + column);
  const auto zero = static_cast<std::int32_t>(b.distances.origin() * b.group);
  const auto origin = hn::Add(hn::Load(i32, b.member + column), hn::Set(i32, zero));
  for (std::int64_t k = 0; k < n; ++k) {
    const auto distance = hn::Sub(query, hn::Set(i32, key_position[k]));
    const V bias = gather_bias(b.rising_queries, b.distances, distance, origin, b.group);
    float* score = scores + k * stride;
    hn::Store(hn::Add(hn::Load(f, score), bias), f, score);
  }
}

/// scores[n] += bias, for a column and n keys side by side, in whole vectors.
HWY_INLINE void add_bias_to_keys(const TileBias& b, std::int64_t column,
                                 const std::int32_t* key_position, std::int64_t n, float* scores) {
  const float* table = b.rising_keys + b.member[column] * b.distances.count();
  const std::int32_t query = b.position[column];
  const auto origin = hn::Set(i32, static_cast<std::int32_t>(b.distances.origin()));
  for (std::int64_t k = 0; k < n; k += lanes) {
    const auto positions = hn::Load(i32, key_position + k);
    V bias;
    if (hn::AllTrue(i32, hn::Eq(positions, hn::Iota(i32, key_position[k])))) {
      bias = hn::LoadU(f, table + b.distances.start(std::int64_t{key_position[k]} - query));
    } else {
      const auto distance = hn::Sub(positions, hn::Set(i32, query));
      bias = gather_bias(table, b.distances, distance, origin, 1);
    }
    hn::Store(hn::Add(hn::Load(f, scores + k), bias), f, scores + k);
  }
}

/// The sums of scores' gradients by distance, [distances, group] as rising_queries. What they hold
/// outside of [begin, end) is zero.
struct BiasSums {
  float* sums;
  std::int64_t begin, end;
};

constexpr std::int64_t quotient_up(std::int64_t a, std::int64_t b) {  // b > 0
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}

/// Adds the diagonals of a run of keys, each of which stands one place after the one before: pairs
/// (k, c) with the same c - k * group have the same distance and head. dscores: [n, stride].
HWY_INLINE void sum_diagonals(const TileBias& b, std::int32_t key_position, std::int64_t n,
                              std::int64_t columns, const float* dscores, std::int64_t stride,
                              BiasSums& to) {
  const std::int64_t first = (std::int64_t{b.position[0]} - key_position) * b.group + b.member[0];
  for (std::int64_t diagonal = -(n - 1) * b.group; diagonal < columns; diagonal += lanes) {
    // The keys for which any lane is a column.
    const std::int64_t begin =
        std::max<std::int64_t>(0, quotient_up(1 - lanes - diagonal, b.group));
    const std::int64_t end = std::min(n, quotient_up(columns - diagonal, b.group));
    const std::int64_t step = stride + b.group;
    V even = hn::Zero(f);
    V odd = hn::Zero(f);
    const float* from = dscores + begin * step + diagonal;
    std::int64_t k = begin;
    for (; k + 2 <= end; k += 2, from += 2 * step) {
      even = hn::Add(even, hn::LoadU(f, from));
      odd = hn::Add(odd, hn::LoadU(f, from + step));
    }
    if (k < end) even = hn::Add(even, hn::LoadU(f, from));
    const std::int64_t distance = -quotient_up(-(first + diagonal), b.group);
    const std::int64_t member = first + diagonal - distance * b.group;
    const std::int64_t place = b.distances.start(distance) * b.group + member;
    hn::StoreU(hn::Add(hn::LoadU(f, to.sums + place), hn::Add(even, odd)), f, to.sums + place);
    to.begin = std::min(to.begin, place);
    to.end = std::max(to.end, place + lanes);
  }
}

/// Adds what a tile's columns and a block's n keys give. dscores: [n, stride], zero for a vector
/// before and after the columns.
HWY_INLINE void sum_bias_gradients(const TileBias& b, const std::int32_t* key_position,
                                   std::int64_t n, std::int64_t columns, const float* dscores,
                                   std::int64_t stride, BiasSums& to) {
  if (b.consecutive) {
    for (std::int64_t k = 0; k < n;) {
      std::int64_t end = k + 1;
      while (end < n && key_position[end] == key_position[end - 1] + 1) ++end;
      sum_diagonals(b, key_position[k], end - k, columns, dscores + k * stride, stride, to);
      k = end;
    }
    return;
  }
  const std::int64_t limit = b.distances.max_distance;
  for (std::int64_t k = 0; k < n; ++k) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t distance =
          std::clamp(std::int64_t{b.position[c]} - key_position[k], -limit, limit);
      to.sums[(distance + b.distances.origin()) * b.group + b.member[c]] += dscores[k * stride + c];
    }
  }
  to.begin = 0;
  to.end = b.distances.count() * b.group;
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
