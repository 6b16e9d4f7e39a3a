// Attention and its gradient are made of these: register tiles of matrix products, exp, a
// transposition, and rows between tensors and workspaces. It is included once a SIMD target.
#if defined(GIST_KERNELS_CPU_ATTENTION_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_ATTENTION_VECTORS_INL_H
#undef GIST_KERNELS_CPU_ATTENTION_VECTORS_INL_H
#else
#define GIST_KERNELS_CPU_ATTENTION_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using V = hn::Vec<F>;
constexpr F f;
constexpr I i32;
constexpr std::int64_t lanes = static_cast<std::int64_t>(hn::MaxLanes(f));

// The two products are made of register tiles of `rows` x `vectors`.
#if HWY_TARGET == HWY_AVX3
constexpr int rows = 8;  // 32 registers
constexpr int few_rows = 4;
#else
constexpr int rows = 4;
constexpr int few_rows = 2;
#endif
constexpr int vectors = 2;

/// Rows one after the other in memory, and rows anywhere.
struct DenseRows {
  const float* first;
  std::int64_t stride;
  HWY_INLINE const float* operator[](std::int64_t s) const { return first + s * stride; }
};
struct ListedRows {
  const float* const* rows;
  HWY_INLINE const float* operator[](std::int64_t s) const { return rows[s]; }
};

/// Sums says what a product's sums start from: zero, what stands in c, or that times factor[row].
enum class Sums : std::uint8_t { fresh, kept, scaled };

/// c[R, N lanes] = start + sum over s < steps of a[r * a_row + s * a_step] b[s][column..]. Without
/// Sums::scaled, `factor` isn't read.
template <int R, int N, Sums start, class Rows>
HWY_INLINE void register_tile(const float* HWY_RESTRICT a, std::int64_t a_row, std::int64_t a_step,
                              Rows b, std::int64_t column, std::int64_t steps,
                              const float* HWY_RESTRICT factor, float* HWY_RESTRICT c,
                              std::int64_t c_row) {
  V sums[R][N];
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < N; ++j) {
      if constexpr (start == Sums::scaled) {
        sums[r][j] = hn::Mul(hn::Set(f, factor[r]), hn::Load(f, c + r * c_row + j * lanes));
      } else if constexpr (start == Sums::kept) {
        sums[r][j] = hn::Load(f, c + r * c_row + j * lanes);
      } else {
        sums[r][j] = hn::Zero(f);
      }
    }
  }
  for (std::int64_t s = 0; s < steps; ++s) {
    V columns[N];
    for (int j = 0; j < N; ++j) columns[j] = hn::LoadU(f, b[s] + column + j * lanes);
    for (int r = 0; r < R; ++r) {
      const V each = hn::Set(f, a[r * a_row + s * a_step]);
      for (int j = 0; j < N; ++j) sums[r][j] = hn::MulAdd(each, columns[j], sums[r][j]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < N; ++j) hn::Store(sums[r][j], f, c + r * c_row + j * lanes);
  }
}

/// exp(x) for x <= 0, to 2 ulp; 0 below -86; NaN of NaN. 2^n times a polynomial in the rest
/// (Cephes).
HWY_INLINE V exp_of_negative(V x) {
  const V magic = hn::Set(f, 12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  const V shifted = hn::MulAdd(x, hn::Set(f, 1.44269504F), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(f, 0.693359375F), x);
  r = hn::NegMulAdd(n, hn::Set(f, -2.12194440e-4F), r);
  V p = hn::Set(f, 1.9875691500e-4F);
  p = hn::MulAdd(p, r, hn::Set(f, 1.3981999507e-3F));
  p = hn::MulAdd(p, r, hn::Set(f, 8.3334519073e-3F));
  p = hn::MulAdd(p, r, hn::Set(f, 4.1665795894e-2F));
  p = hn::MulAdd(p, r, hn::Set(f, 1.6666665459e-1F));
  p = hn::MulAdd(p, r, hn::Set(f, 5.0000001201e-1F));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(f, 1.0F));
  // A product, not a sum of bits: what isn't a number stays none.
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(i32, shifted));
  const V power = hn::BitCast(f, hn::Add(exponent, hn::BitCast(i32, hn::Set(f, 1.0F))));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(f, -86.0F)), hn::Mul(p, power));
}

/// to[i, c] = x[c, i] for `columns` rows c, a multiple of 16 and at most `to_stride`, and for i
/// < dim rounded up to a multiple of four, which must be readable and writable.
#if HWY_TARGET == HWY_SCALAR
inline void transpose(const float* x, std::int64_t stride, std::int64_t columns, std::int64_t dim,
                      float* to, std::int64_t to_stride) {
  for (std::int64_t i = 0; i < dim; ++i) {
    for (std::int64_t c = 0; c < columns; ++c) to[i * to_stride + c] = x[c * stride + i];
  }
}
#else
/// Four floats of each fourth row, side by side.
template <class D>
HWY_INLINE hn::Vec<D> load_fourth_rows(D tag, const float* row, std::int64_t stride) {
  constexpr auto count = static_cast<std::int64_t>(hn::MaxLanes(D()));
  if constexpr (count == 4) {
    return hn::LoadU(tag, row);
  } else {
    constexpr hn::Half<D> half;
    return hn::Combine(tag, load_fourth_rows(half, row + count / 2 * stride, stride),
                       load_fourth_rows(half, row, stride));
  }
}

inline void transpose(const float* x, std::int64_t stride, std::int64_t columns, std::int64_t dim,
                      float* to, std::int64_t to_stride) {
  for (std::int64_t c = 0; c < columns; c += lanes) {
    for (std::int64_t i = 0; i < dim; i += 4) {  // 4 x 4 floats in each part of 128 bits
      const float* from = x + c * stride + i;
      const V v0 = load_fourth_rows(f, from, stride);
      const V v1 = load_fourth_rows(f, from + stride, stride);
      const V v2 = load_fourth_rows(f, from + 2 * stride, stride);
      const V v3 = load_fourth_rows(f, from + 3 * stride, stride);
      const V lower02 = hn::InterleaveLower(f, v0, v2);
      const V lower13 = hn::InterleaveLower(f, v1, v3);
      const V upper02 = hn::InterleaveUpper(f, v0, v2);
      const V upper13 = hn::InterleaveUpper(f, v1, v3);
      float* out = to + i * to_stride + c;
      hn::Store(hn::InterleaveLower(f, lower02, lower13), f, out);
      hn::Store(hn::InterleaveUpper(f, lower02, lower13), f, out + to_stride);
      hn::Store(hn::InterleaveLower(f, upper02, upper13), f, out + 2 * to_stride);
      hn::Store(hn::InterleaveUpper(f, upper02, upper13), f, out + 3 * to_stride);
    }
  }
}
#endif

/// Writes the sums of the lanes of four vectors.
template <class D, class Vector>
HWY_INLINE void store_sums(D tag, Vector a, Vector b, Vector c, Vector d, float* sums) {
#if HWY_TARGET != HWY_SCALAR
  const auto ac = hn::Add(hn::InterleaveLower(tag, a, c), hn::InterleaveUpper(tag, a, c));
  const auto bd = hn::Add(hn::InterleaveLower(tag, b, d), hn::InterleaveUpper(tag, b, d));
  const auto abcd = hn::Add(hn::InterleaveLower(tag, ac, bd), hn::InterleaveUpper(tag, ac, bd));
  if constexpr (hn::MaxLanes(D()) == 4) {
    hn::Store(abcd, tag, sums);
  } else {
    constexpr hn::Half<D> half;
    const auto halves = hn::Add(hn::LowerHalf(half, abcd), hn::UpperHalf(half, abcd));
    if constexpr (hn::MaxLanes(D()) == 8) {
      hn::Store(halves, half, sums);
    } else {
      constexpr hn::Half<hn::Half<D>> quarter;
      hn::Store(hn::Add(hn::LowerHalf(quarter, halves), hn::UpperHalf(quarter, halves)), quarter,
                sums);
    }
  }
#else
  hn::Store(a, tag, sums);
  hn::Store(b, tag, sums + 1);
  hn::Store(c, tag, sums + 2);
  hn::Store(d, tag, sums + 3);
#endif
}

HWY_INLINE void prefetch_row(const float* row, std::int64_t floats) {
  for (std::int64_t i = 0; i < floats; i += 16) __builtin_prefetch(row + i, 0, 2);
}

// --- rows of dim floats anywhere, and rows of whole vectors in the workspace ---

HWY_INLINE void load_row(const float* from, std::int64_t dim, std::int64_t width, float factor,
                         float* HWY_RESTRICT to) {
  const V factors = hn::Set(f, factor);
  std::int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) {
    hn::Store(hn::Mul(hn::LoadU(f, from + i), factors), f, to + i);
  }
  for (; i < dim; ++i) to[i] = from[i] * factor;
  for (; i < width; ++i) to[i] = 0;
}

HWY_INLINE void store_row(const float* from, std::int64_t dim, float factor, float* to) {
  const V factors = hn::Set(f, factor);
  std::int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) {
    hn::StoreU(hn::Mul(hn::Load(f, from + i), factors), f, to + i);
  }
  for (; i < dim; ++i) to[i] = from[i] * factor;
}

HWY_INLINE void add_row(const float* HWY_RESTRICT from, std::int64_t dim, float* HWY_RESTRICT to) {
  std::int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(f, to + i), hn::Load(f, from + i)), f, to + i);
  }
  for (; i < dim; ++i) to[i] += from[i];
}

HWY_INLINE float dot(const float* a, const float* b, std::int64_t dim) {
  V sums = hn::Zero(f);
  std::int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) {
    sums = hn::MulAdd(hn::LoadU(f, a + i), hn::LoadU(f, b + i), sums);
  }
  float sum = hn::GetLane(hn::SumOfLanes(f, sums));
  for (; i < dim; ++i) sum += a[i] * b[i];
  return sum;
}

HWY_INLINE void clear_row(float* to, std::int64_t dim) {
  std::int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) hn::StoreU(hn::Zero(f), f, to + i);
  for (; i < dim; ++i) to[i] = 0;
}

/// `floats` is a multiple of 16.
HWY_INLINE void clear(float* to, std::int64_t floats) {
  for (std::int64_t i = 0; i < floats; i += lanes) hn::Store(hn::Zero(f), f, to + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
