// Dropout of attention's probabilities: the factors of pairs of queries and keys. Included once a
// SIMD target.
#if defined(GIST_KERNELS_CPU_ATTENTION_DROPOUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_ATTENTION_DROPOUT_INL_H
#undef GIST_KERNELS_CPU_ATTENTION_DROPOUT_INL_H
#else
#define GIST_KERNELS_CPU_ATTENTION_DROPOUT_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/cpu/attention_vectors-inl.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/dropout_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using U = hn::RebindToUnsigned<F>;
constexpr U u32;

/// The factors of a vector of columns, one key after the other. Four neighbours of the key list
/// come from one draw, which is kept.
class ColumnFactors {
 public:
  HWY_INLINE ColumnFactors(const TileDropout& dropout, std::int64_t column)
      : draw_(dropout.draw),
        low_(hn::Load(u32, dropout.low + column)),
        high_(hn::Load(u32, dropout.high + column)) {}

  HWY_INLINE V of(std::int32_t entry) {
    if (entry / 4 != four_) {
      four_ = entry / 4;
      hn::Vec<U> low = low_;
      hn::Vec<U> high = high_;
      add_offset(u32, hn::Set(u32, static_cast<std::uint32_t>(four_)), low, high);
      draw_factors(f, draw_, low, high, factors_);
    }
    return factors_[entry % 4];
  }

 private:
  const DropoutDraw& draw_;
  hn::Vec<U> low_, high_;
  std::int32_t four_ = -1;
  V factors_[4];
};

/// weights[k, lanes] *= factor, for a vector of columns and the keys [begin, end) of a block.
HWY_INLINE void drop_columns(const TileDropout& dropout, std::int64_t column, std::int64_t begin,
                             std::int64_t end, float* weights, std::int64_t stride) {
  ColumnFactors factors(dropout, column);
  for (std::int64_t k = begin; k < end; ++k, weights += stride) {
    hn::Store(hn::Mul(hn::Load(f, weights), factors.of(dropout.entry[k])), f, weights);
  }
}

/// weights[n] *= factor, for a column and n keys side by side, in whole vectors. Each lane draws
/// for itself and takes one of its four.
HWY_INLINE void drop_keys(const TileDropout& dropout, std::int64_t column, std::int64_t n,
                          float* weights) {
  for (std::int64_t k = 0; k < n; k += lanes) {
    const auto entry = hn::Load(i32, dropout.entry + k);
    auto low = hn::Set(u32, dropout.low[column]);
    auto high = hn::Set(u32, dropout.high[column]);
    add_offset(u32, hn::BitCast(u32, hn::ShiftRight<2>(entry)), low, high);
    V factors[4];
    draw_factors(f, dropout.draw, low, high, factors);
    const auto which = hn::And(entry, hn::Set(i32, 3));
    V factor = factors[3];
    for (int j = 0; j < 3; ++j) {
      factor =
          hn::IfThenElse(hn::RebindMask(f, hn::Eq(which, hn::Set(i32, j))), factors[j], factor);
    }
    hn::Store(hn::Mul(hn::Load(f, weights + k), factor), f, weights + k);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
