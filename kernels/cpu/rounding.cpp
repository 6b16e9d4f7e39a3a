#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rounding.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rounding.h"
#include "kernels/tensor.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void round_values(const float* values, std::int64_t count, std::uint16_t* target) {
  const hn::ScalableTag<std::uint32_t> tag;
  const hn::RebindToFloat<decltype(tag)> floats;
  const hn::RebindToSigned<decltype(tag)> integers;
  const hn::Rebind<std::uint16_t, decltype(tag)> halves;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto one = hn::Set(tag, 1U), half = hn::Set(tag, 0x7fffU), quiet = hn::Set(tag, 0x40U);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto value = hn::LoadU(floats, values + i);
    const auto bits = hn::BitCast(tag, value);
    const auto upper = hn::ShiftRight<16>(bits);
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(half, hn::And(upper, one))));
    // Rounding could carry a NaN into infinity.
    const auto is_nan = hn::RebindMask(tag, hn::IsNaN(value));
    const auto result = hn::IfThenElse(is_nan, hn::Or(upper, quiet), rounded);
    hn::StoreU(hn::DemoteTo(halves, hn::BitCast(integers, result)), halves, target + i);
  }
  for (; i < count; ++i) target[i] = f32_to_bf16(values[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(round_values);

void round_to_bf16(const float* values, std::int64_t count, std::uint16_t* target) {
  HWY_DYNAMIC_DISPATCH(round_values)(values, count, target);
}

void round_to_bf16(const float* values, std::int64_t count, ThreadPool& threads,
                   std::uint16_t* target) {
  const auto round = HWY_DYNAMIC_DISPATCH(round_values);
  parallel_ranges(threads, count, 16384, [&](std::int64_t begin, std::int64_t end) {
    round(values + begin, end - begin, target + begin);
  });
}

}  // namespace gist::cpu
#endif
