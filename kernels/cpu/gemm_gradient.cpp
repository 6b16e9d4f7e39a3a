#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_gradient.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// sum[begin .. end) += the sum of x's m rows of n.
void add_rows(const float* x, std::int64_t m, std::int64_t n, std::int64_t begin, std::int64_t end,
              float* sum) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    auto total = hn::LoadU(tag, sum + i);
    for (std::int64_t r = 0; r < m; ++r) total = hn::Add(total, hn::LoadU(tag, x + r * n + i));
    hn::StoreU(total, tag, sum + i);
  }
  for (; i < end; ++i) {
    for (std::int64_t r = 0; r < m; ++r) sum[i] += x[r * n + i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(add_rows);

void compute(const ops::GemmInputGradient& op, Context& context) {
  const ops::GemmSizes s = op.sizes();
  context.gemm.plain().run({op.dy.data}, {op.w.data, false, op.w.dtype}, s.m, s.k, s.n,
                           op.accumulate, static_cast<float*>(op.dx.data));
}

void compute(const ops::GemmWeightGradient& op, Context& context) {
  const std::int64_t m = op.dy.shape[0];
  const std::int64_t n = op.dw.shape[0];
  const auto* rows = static_cast<const float*>(op.dy.data);
  context.gemm.plain().run({rows, true}, {op.x.data}, n, op.dw.shape[1], m, true,
                           static_cast<float*>(op.dw.data));
  if (op.dbias.data == nullptr) return;
  const auto add = HWY_DYNAMIC_DISPATCH(add_rows);
  parallel_ranges(context.threads, n, 32768 / (m + 1) + 16,
                  [&](std::int64_t begin, std::int64_t end) {
                    add(rows, m, n, begin, end, static_cast<float*>(op.dbias.data));
                  });
}

}  // namespace gist::cpu
#endif
