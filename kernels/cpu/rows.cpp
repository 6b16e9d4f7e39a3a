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

void compute(const ops::GatherRows& op, Context& context) {
  require_within(op.name, "rows", op.rows, op.x.shape[0]);
  const auto* from = static_cast<const std::byte*>(op.x.data);
  auto* to = static_cast<std::byte*>(op.y.data);
  const auto* row = static_cast<const std::int32_t*>(op.rows.data);
  const std::size_t bytes = row_bytes(op.y);
  parallel_ranges(context.threads, op.y.shape[0], grain(bytes),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::memcpy(to + static_cast<std::size_t>(i) * bytes,
                                  from + static_cast<std::size_t>(row[i]) * bytes, bytes);
                    }
                  });
}

void compute(const ops::ScatterRows& op, Context& context) {
  require_within(op.name, "rows", op.rows, op.y.shape[0]);
  const auto* from = static_cast<const std::byte*>(op.x.data);
  auto* to = static_cast<std::byte*>(op.y.data);
  const auto* row = static_cast<const std::int32_t*>(op.rows.data);
  const std::size_t bytes = row_bytes(op.x);
  parallel_ranges(context.threads, op.x.shape[0], grain(bytes),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::memcpy(to + static_cast<std::size_t>(row[i]) * bytes,
                                  from + static_cast<std::size_t>(i) * bytes, bytes);
                    }
                  });
}

}  // namespace gist::cpu
