// Philox (kernels/philox.h) and dropout's draws on vectors. Included once a SIMD target.
#if defined(GIST_KERNELS_CPU_DROPOUT_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_DROPOUT_VECTORS_INL_H
#undef GIST_KERNELS_CPU_DROPOUT_VECTORS_INL_H
#else
#define GIST_KERNELS_CPU_DROPOUT_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/cpu/dropout.h"
#include "kernels/philox.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The halves of the 64-bit products of each lane with a constant.
template <class D, class V>
HWY_INLINE void multiply(D u32, V a, std::uint32_t constant, V& high, V& low) {
#if HWY_TARGET == HWY_SCALAR  // has no pairs of lanes
  const std::uint64_t product = std::uint64_t{hn::GetLane(a)} * constant;
  high = hn::Set(u32, static_cast<std::uint32_t>(product >> 32));
  low = hn::Set(u32, static_cast<std::uint32_t>(product));
#else
  const hn::RepartitionToWide<D> u64;
  const V factor = hn::Set(u32, constant);
  const auto even = hn::MulEven(a, factor);
  const auto odd = hn::MulEven(hn::BitCast(u32, hn::ShiftRight<32>(hn::BitCast(u64, a))), factor);
  high = hn::OddEven(hn::BitCast(u32, odd), hn::BitCast(u32, hn::ShiftRight<32>(even)));
  low = hn::OddEven(hn::BitCast(u32, hn::ShiftLeft<32>(odd)), hn::BitCast(u32, even));
#endif
}

/// Philox 4x32-10 in each lane; words: the counters, then the random words.
template <class D, class V>
HWY_INLINE void draw_words(D u32, std::uint64_t seed, V (&words)[4]) {
  auto key_0 = static_cast<std::uint32_t>(seed);
  auto key_1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < philox::rounds; ++round) {
    V a_high, a_low, b_high, b_low;
    multiply(u32, words[0], philox::multiplier_0, a_high, a_low);
    multiply(u32, words[2], philox::multiplier_2, b_high, b_low);
    words[0] = hn::Xor(hn::Xor(b_high, words[1]), hn::Set(u32, key_0));
    words[2] = hn::Xor(hn::Xor(a_high, words[3]), hn::Set(u32, key_1));
    words[1] = b_low;
    words[3] = a_low;
    key_0 += philox::key_step_0;
    key_1 += philox::key_step_1;
  }
}

/// index + offset in each lane, in two words: `low` comes in as the index' low word.
template <class D, class V>
HWY_INLINE void add_offset(D u32, V offset, V& low, V& high) {
  low = hn::Add(low, offset);
  const auto carried = hn::Lt(low, offset);
  high = hn::Add(high, hn::IfThenElseZero(carried, hn::Set(u32, 1)));
}

/// factors[j]: those of the elements 4 * index + j, with the indices' words in the lanes of `low`
/// and `high`. 0 where dropped.
template <class D, class U>
HWY_INLINE void draw_factors(D f32, const DropoutDraw& draw, U low, U high,
                             hn::Vec<D> (&factors)[4]) {
  const hn::RebindToUnsigned<D> u32;
  const hn::RebindToSigned<D> signed_words;
  U words[4] = {hn::Set(u32, static_cast<std::uint32_t>(draw.stream)),
                hn::Set(u32, static_cast<std::uint32_t>(draw.stream >> 32)), low,
                hn::Or(hn::ShiftLeft<8>(high), hn::Set(u32, dropout_use))};
  draw_words(u32, draw.seed, words);
  const auto limit = hn::Set(signed_words, static_cast<std::int32_t>(draw.limit));
  for (int j = 0; j < 4; ++j) {
    const auto number = hn::BitCast(signed_words, hn::ShiftRight<8>(words[j]));
    const auto dropped = hn::RebindMask(f32, hn::Lt(number, limit));
    factors[j] = hn::IfThenZeroElse(dropped, hn::Set(f32, draw.factor));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
