// The two 16-bit floats, by their bits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace gist::cuda {

struct Bf16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

__device__ inline float to_f32(float x) {
  return x;
}
__device__ inline float to_f32(Bf16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
__device__ inline float to_f32(F16 x) {
  const unsigned sign = (x.bits & 0x8000u) << 16;
  const unsigned exponent = x.bits >> 10 & 31u, fraction = x.bits & 1023u;
  if (exponent == 31) return __uint_as_float(sign | 0x7F800000u | fraction << 13);
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float size = static_cast<float>(fraction) * 5.9604644775390625e-8F;
    return sign != 0 ? -size : size;
  }
  return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

/// Rounded to nearest, ties to even; NaN stays NaN.
__device__ inline Bf16 to_bf16(float x) {
  const unsigned bits = __float_as_uint(x);
  if (x != x) return {static_cast<std::uint16_t>(bits >> 16 | 64u)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16)};
}

}  // namespace gist::cuda
