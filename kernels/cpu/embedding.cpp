#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {

void compute(const ops::Embedding& op, Context& context) {
  require_within(op.name, "ids", op.ids, op.table.shape[0]);
  const std::int64_t d = op.table.shape[1];
  const auto row_bytes = d * static_cast<std::int64_t>(size_of(op.table.dtype));
  const auto* rows = static_cast<const std::byte*>(op.table.data);
  const auto* id = static_cast<const std::int32_t*>(op.ids.data);
  auto* out = static_cast<float*>(op.y.data);
  parallel_ranges(context.threads, op.ids.shape[0], 16384 / (d + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      convert_to_f32(rows + id[i] * row_bytes, op.table.dtype, d, out + i * d);
                    }
                  });
}

/// A thread has columns of its own, so that rows of one id are added in their order.
void compute(const ops::EmbeddingBackward& op, Context& context) {
  require_within(op.name, "ids", op.ids, op.dtable.shape[0]);
  const std::int64_t m = op.ids.shape[0];
  const std::int64_t d = op.dtable.shape[1];
  const auto* id = static_cast<const std::int32_t*>(op.ids.data);
  const auto* gradient = static_cast<const float*>(op.dy.data);
  auto* table = static_cast<float*>(op.dtable.data);
  parallel_ranges(context.threads, d, 16384 / (m + 1) + 16,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = 0; i < m; ++i) {
                      const float* from = gradient + i * d;
                      float* to = table + id[i] * d;
                      for (std::int64_t j = begin; j < end; ++j) to[j] += from[j];
                    }
                  });
}

}  // namespace gist::cpu
