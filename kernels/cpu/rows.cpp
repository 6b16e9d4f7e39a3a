#include <cstring>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

constexpr std::size_t bytes_a_thread = std::size_t{1} << 16;

std::size_t row_bytes(const Tensor& x) {
  return x.shape[0] == 0 ? 0 : x.bytes() / static_cast<std::size_t>(x.shape[0]);
}

std::int64_t grain(std::size_t bytes_a_row) {
  return static_cast<std::int64_t>(bytes_a_thread / (bytes_a_row + 1)) + 1;
}

}  // namespace

void require_within(std::string_view op, std::string_view name, const Tensor& indices,
                    std::int64_t limit) {
  const auto* values = static_cast<const std::int32_t*>(indices.data);
  for (std::int64_t i = 0; i < indices.shape.elements(); ++i) {
    if (values[i] < 0 || values[i] >= limit) {
      fail(ErrorKind::internal, "{}: expected {} within [0, {}); {}[{}] is {}", op, name, limit,
           name, i, values[i]);
    }
  }
}

void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y, ThreadPool& threads) {
  require_within("gather_rows", "rows", rows, x.shape[0]);
  const auto* from = static_cast<const std::byte*>(x.data);
  auto* to = static_cast<std::byte*>(y.data);
  const auto* row = static_cast<const std::int32_t*>(rows.data);
  const std::size_t bytes = row_bytes(y);
  parallel_ranges(threads, y.shape[0], grain(bytes), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(to + static_cast<std::size_t>(i) * bytes,
                  from + static_cast<std::size_t>(row[i]) * bytes, bytes);
    }
  });
}

void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y, ThreadPool& threads) {
  require_within("scatter_rows", "rows", rows, y.shape[0]);
  const auto* from = static_cast<const std::byte*>(x.data);
  auto* to = static_cast<std::byte*>(y.data);
  const auto* row = static_cast<const std::int32_t*>(rows.data);
  const std::size_t bytes = row_bytes(x);
  parallel_ranges(threads, x.shape[0], grain(bytes), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(to + static_cast<std::size_t>(row[i]) * bytes,
                  from + static_cast<std::size_t>(i) * bytes, bytes);
    }
  });
}

}  // namespace gist::cpu
