#include "kernels/cpu/gemm.h"
#include "kernels/cpu/operations.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

/// Calls each(expert, begin, end) for the rows of every expert that has any, of m rows.
template <typename Each>
void for_experts(const char* op, const Tensor& ends, std::int64_t m, const Each& each) {
  const auto* end = static_cast<const std::int32_t*>(ends.data);
  const std::int64_t experts = ends.shape[0];
  std::int32_t begin = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    if (end[e] < begin || end[e] > m || (e + 1 == experts && end[e] != m)) {
      fail(ErrorKind::internal, "{}: expected ends that rise to {}; ends[{}] is {}", op, m, e,
           end[e]);
    }
    if (end[e] > begin) each(static_cast<std::size_t>(e), begin, end[e]);
    begin = end[e];
  }
}

}  // namespace

void compute(const ops::ExpertGemm& op, Context& context) {
  for_experts(op.name, op.ends, op.x.shape[0],
              [&](std::size_t e, std::int64_t begin, std::int64_t end) {
                context.gemm.run(op.x.rows(begin, end), *op.w[e], {}, op.y.rows(begin, end));
              });
}

void compute(const ops::ExpertGemmInputGradient& op, Context& context) {
  for_experts(op.name, op.ends, op.dy.shape[0],
              [&](std::size_t e, std::int64_t begin, std::int64_t end) {
                compute(ops::GemmInputGradient{.dy = op.dy.rows(begin, end),
                                               .w = op.w[e],
                                               .accumulate = op.accumulate,
                                               .dx = op.dx.rows(begin, end)},
                        context);
              });
}

void compute(const ops::ExpertGemmWeightGradient& op, Context& context) {
  for_experts(op.name, op.ends, op.dy.shape[0],
              [&](std::size_t e, std::int64_t begin, std::int64_t end) {
                compute(
                    ops::GemmWeightGradient{
                        .dy = op.dy.rows(begin, end), .x = op.x.rows(begin, end), .dw = op.dw[e]},
                    context);
              });
}

}  // namespace gist::cpu
