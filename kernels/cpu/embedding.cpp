#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {

void embedding(const Tensor& table, const Tensor& ids, const Tensor& y, ThreadPool& threads) {
  require_within("embedding", "ids", ids, table.shape[0]);
  const std::int64_t d = table.shape[1];
  const auto row_bytes = d * static_cast<std::int64_t>(size_of(table.dtype));
  const auto* rows = static_cast<const std::byte*>(table.data);
  const auto* id = static_cast<const std::int32_t*>(ids.data);
  auto* out = static_cast<float*>(y.data);
  parallel_ranges(threads, ids.shape[0], 16384 / (d + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      convert_to_f32(rows + id[i] * row_bytes, table.dtype, d, out + i * d);
                    }
                  });
}

/// A thread has columns of its own, so that rows of one id are added in their order.
void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable,
                        ThreadPool& threads) {
  require_within("embedding_backward", "ids", ids, dtable.shape[0]);
  const std::int64_t m = ids.shape[0];
  const std::int64_t d = dtable.shape[1];
  const auto* id = static_cast<const std::int32_t*>(ids.data);
  const auto* gradient = static_cast<const float*>(dy.data);
  auto* table = static_cast<float*>(dtable.data);
  parallel_ranges(threads, d, 16384 / (m + 1) + 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < m; ++i) {
      const float* from = gradient + i * d;
      float* to = table + id[i] * d;
      for (std::int64_t j = begin; j < end; ++j) to[j] += from[j];
    }
  });
}

}  // namespace gist::cpu
